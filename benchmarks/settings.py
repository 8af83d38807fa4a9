"""The settings that every measurement uses."""

from collections.abc import Sequence
from pathlib import Path

from web.settings import PREFIX, Settings, read_settings

CORP_ID = "ww0123456789abcdef"
AGENT_ID = "1000002"
TOKEN = "BenchmarkToken"
AES_KEY = "BenchmarkBenchmarkBenchmarkBenchmark1234567"


def bench_settings(folder: Path, super_approvers: Sequence[str] = ()) -> Settings:
    """SQLite with `synchronous=FULL` in a folder of its own; nothing leaves this machine."""
    environment = {
        "DATABASE": f"sqlite:///{folder.absolute() / 'bench.db'}",
        "API_TOKENS": "bench:token-of-the-benchmark",
        "API_RATE": "0",
        "WECOM_CORP_ID": CORP_ID,
        "WECOM_SECRET": "secret-of-the-benchmark",
        "WECOM_AGENT_ID": AGENT_ID,
        "WECOM_TOKEN": TOKEN,
        "WECOM_ENCODING_AES_KEY": AES_KEY,
        "WECOM_API_URL": "http://127.0.0.1:9",
        "SUPER_APPROVERS": ",".join(super_approvers),
        "AUDITORS": ",".join(super_approvers),
    }
    return read_settings({PREFIX + name: value for name, value in environment.items()})
