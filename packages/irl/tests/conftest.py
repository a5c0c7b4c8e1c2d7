# pyright: reportUnknownMemberType=false
# (transformers annotates its models in part)
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm

CHATS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "user", "content": f"say {number % 5}"},
            {"role": "assistant", "content": "abcde"[number % 5] * (1 + number % 4)},
            {"role": "tool", "content": "ok"},
            {"role": "assistant", "content": "done"},
        ]
    }
    for number in range(24)
]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Several test runs share few cores, where threads that wait for each other lose most time."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def chats() -> list[dict[str, Any]]:
    return CHATS


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    tiny_causal_lm().save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def chat_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "chats.jsonl"
    path.write_text("".join(json.dumps(chat) + "\n" for chat in CHATS), encoding="utf-8")
    return path
