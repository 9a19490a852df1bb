"""The driver as a LangChain chat model: a program swaps its model, and one account covers all that it asks."""

from langchain_core.prompts import ChatPromptTemplate

from apr_agents.accounting import Report
from apr_agents.integrations.langchain import ParallelChatModel, account_run


def main() -> Report:
    """Ask the shipped model two questions side by side, as any LangChain program would."""
    with ParallelChatModel(engine="embedded") as model, account_run() as agent:
        ask = ChatPromptTemplate.from_template("Numbers: {numbers} Target: {target}") | model
        asked = [{"numbers": "26 45 27 21", "target": 18}, {"numbers": "3 5 7", "target": 22}]
        for answer in ask.batch(asked):
            print(answer.text)
    report = agent.report()
    print(f"{report.tokens.generated} tokens, {report.tokens.critical} of them on the critical path")
    return report


if __name__ == "__main__":
    main()
