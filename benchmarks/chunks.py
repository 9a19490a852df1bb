"""A server that says the same chunks to everyone, in a process of its own.

`python -m benchmarks.chunks` prints its port. Raw asyncio: each event is one write and one HTTP chunk, prepared
beforehand, as SGLang 0.5.21 sends them. Paths say which: `/incremental`, `/cumulative` and `/completions` have 100
chunks, one each 20 ms, as tokens come; `/burst` has the first of these as fast as it can; `/drip` has one each 50 ms
and no end, `/silent` none.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHUNKS = 100
PACES = {"burst": 0.0, "drip": 0.05}
"""Seconds between two chunks, where they are not 20 ms."""
MODEL = Path(__file__).parent.parent / "training" / "countdown-hf"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
TOLD = {
    "/get_model_info": {"model_path": str(MODEL), "served_model_name": "countdown"},
    "/server_info": {"version": "0.5.21", "page_size": 1},
    "/v1/models": {"data": [{"id": "countdown", "max_model_len": 32768}]},
}
"""What a client asks before it generates."""


def native(count: int, *, cumulative: bool) -> list[bytes]:
    """The events of one answer of `/generate`, and the end marker."""
    texts, ids = [f" {100 + n % 100}" for n in range(count)], [230 + n % 100 for n in range(count)]
    start = 0 if cumulative else None
    events = [
        {
            "text": "".join(texts[slice(start, n + 1)] if cumulative else texts[n : n + 1]),
            "output_ids": ids[: n + 1] if cumulative else ids[n : n + 1],
            "meta_info": _meta(n + 1, last=n + 1 == count),
        }
        for n in range(count)
    ]
    return [*map(_event, events), b"data: [DONE]\n\n"]


def _meta(count: int, *, last: bool) -> dict[str, object]:
    meta: dict[str, object] = {
        "id": "edafc2081adf44159f4d8975169fb586",
        "finish_reason": {"type": "length", "length": count} if last else None,
        "prompt_tokens": 1001,
        "weight_version": "default",
        "num_retractions": 0,
        "forward_entry_time": 1795262393.190355,
        "prefill_finished_time": 1795262393.2376637,
        "queue_time": 0.0006502529995486839,
        "reasoning_tokens": 0,
        "completion_tokens": count,
        "cached_tokens": 1000,
        "cached_tokens_details": {"device": 1000, "host": 0},
        "dp_rank": None,
    }
    return {**meta, "e2e_latency": 0.245, "request_finished_ts": 1795262393.433358} if last else meta


def completions(count: int) -> list[bytes]:
    """The same chunks as OpenAI's text completions have them."""
    frame = {"id": "edafc2081adf44159f4d8975169fb586", "object": "text_completion", "created": 1795262393}
    choice = {"index": 0, "logprobs": None, "matched_stop": None}
    events: list[dict[str, object]] = [
        {**frame, "model": "countdown", "choices": [{**choice, "text": f" {100 + n % 100}", "finish_reason": None}]}
        for n in range(count)
    ]
    usage = {"prompt_tokens": 1001, "completion_tokens": count, "total_tokens": 1001 + count}
    details = {"prompt_tokens_details": {"cached_tokens": 1000}}
    ending = {**frame, "model": "countdown", "choices": [{**choice, "text": "", "finish_reason": "length"}]}
    nothing: list[object] = []
    counted = {**frame, "model": "countdown", "choices": nothing, "usage": {**usage, **details}}
    return [*map(_event, events), _event(ending), _event(counted), b"data: [DONE]\n\n"]


def _event(data: object) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def framed(events: Sequence[bytes]) -> list[bytes]:
    """Each event as an HTTP chunk."""
    return [b"%x\r\n%s\r\n" % (len(event), event) for event in events]


ANSWERS = {
    "/incremental/generate": framed(native(CHUNKS, cumulative=False)),
    "/cumulative/generate": framed(native(CHUNKS, cumulative=True)),
    "/completions/completions": framed(completions(CHUNKS)),
    "/burst/generate": framed(native(CHUNKS, cumulative=False)),
    "/drip/generate": framed(native(10_000, cumulative=False)),
    "/silent/generate": [],
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, until the client closes it."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            lengths = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")]
            await reader.readexactly(int(lengths[0]) if lengths else 0)
            await answer(lines[0].split()[1], writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def answer(path: str, writer: asyncio.StreamWriter) -> None:
    """What stands behind this path; 404 for nothing."""
    told = next((data for end, data in TOLD.items() if path.endswith(end)), None)
    if told is not None:
        body = json.dumps(told).encode()
        writer.write(HEAD % b"application/json" + framed([body])[0] + END)
    elif path not in ANSWERS:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    else:
        writer.write(HEAD % b"text/event-stream")
        await stream(path, writer)
    await writer.drain()


async def stream(path: str, writer: asyncio.StreamWriter) -> None:
    """One write for each event; other connections have their turn between them."""
    pace = PACES.get(path.split("/")[1], 0.02)
    for chunk in ANSWERS[path]:
        writer.write(chunk)
        await asyncio.sleep(pace)
        await writer.drain()
    if path.startswith("/silent"):
        await asyncio.sleep(3600)
    writer.write(END)


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def chunk_server() -> Generator[str]:
    """The address of such a server, which ends with the block."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.chunks"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


if __name__ == "__main__":
    asyncio.run(main())
