"""LiteLLM reaches SGLang's native endpoint: `register()` once, then use the model `apr-sglang/NAME` with `api_base`.

from apr_agents.integrations.litellm import register

register()
answer = await litellm.acompletion("apr-sglang/qwen", messages, api_base="http://127.0.0.1:30000")
answer.choices[0].message.provider_specific_fields  # {"ids": …, "matched_stop": …, "finish": …, "timings": …}
"""

from apr_agents.engines.litellm.provider import SGLangProvider, register

__all__ = ["SGLangProvider", "register"]
