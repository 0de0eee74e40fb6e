"""The CA of a stack's machines, where its settings say it is."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from admission import machines_ca, outputs

PEM = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
FROM = {"from": {"stack": "o/p/infra", "ca": "ca"}}


def found(cluster: dict[str, Any]) -> str:
    return asyncio.run(machines_ca.of_cluster(cluster, "dev"))


@pytest.mark.parametrize("exported", [PEM, base64.b64encode(PEM.encode()).decode()])
def test_another_stack_exports_it_in_pem_or_in_base64(
    monkeypatch: pytest.MonkeyPatch, exported: str
) -> None:
    async def output(source: Any) -> str:
        assert source == {"stack": "o/p/infra", "output": "ca"}
        return exported

    monkeypatch.setattr(outputs, "output", output)
    assert found(FROM) == PEM


def test_it_is_in_a_file_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.crt").write_text(PEM)
    assert found({"caPath": str(tmp_path / "ca.crt")}) == PEM
    assert found({}) == ""

    async def output(_: Any) -> str:
        raise ValueError("no such output")

    monkeypatch.setattr(outputs, "output", output)
    with pytest.raises(ValueError, match=r"^cluster\.from\.ca of the stack dev: no such output$"):
        found(FROM)
