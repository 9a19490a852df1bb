"""Makes the shipped model from nothing: `python -m training`. A stopped run goes on from its last checkpoint."""

import argparse
from pathlib import Path

import torch

from .evaluate import evaluate
from .export import rounded, write_gguf, write_safetensors
from .train import train

HERE = Path(__file__).parent
GGUF = HERE.parent / "apr_agents" / "models" / "countdown" / "model.gguf"
SAFETENSORS = HERE / "countdown-hf"
RESULTS = HERE / "results.json"


def main() -> None:
    """Trains, exports, and evaluates what was exported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="where checkpoints go")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--problems", type=int, default=500, help="problems of each kind to evaluate on")
    parser.add_argument("--skip-training", action="store_true", help="export and evaluate the last checkpoint")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    model = train(arguments.work, most_rounds=0 if arguments.skip_training else None)
    weights = rounded(model.state_dict())
    write_gguf(GGUF, weights, model.config)
    write_safetensors(SAFETENSORS, weights, model.config)
    if arguments.problems:
        evaluate(GGUF, SAFETENSORS, RESULTS, arguments.problems)


if __name__ == "__main__":
    main()
