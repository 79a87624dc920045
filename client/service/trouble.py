"""Why a hospital does not reach its coordinator, in words that name neither addresses nor paths."""

from __future__ import annotations

_STRANGER = "the coordinator's certificate was signed by an authority that this site does not know"
_MEANINGS = {
    "certificate has expired": "the coordinator's certificate has expired. It must renew it",
    "not yet valid": "the coordinator's certificate is not valid yet. Is this machine's clock right?",
    "mismatch": "the coordinator's certificate is for another host name",
    "self-signed": _STRANGER,
    "self signed": _STRANGER,
    "unable to get local issuer": _STRANGER,
    "certificate verify failed": "the coordinator's certificate is not accepted",
    "name or service not known": "the coordinator's host name is not known here (DNS)",
    "temporary failure in name resolution": "the name server does not answer (DNS)",
    "refused": "nothing listens at the coordinator's address",
    "timed out": "the coordinator does not answer in time. Does a firewall stand between?",
    "wrong version number": "what listens at the coordinator's address does not speak TLS",
}


def unreachable(error: Exception) -> str:
    """Say why there is no connection, without addresses or paths."""
    text = str(error).lower()
    for word, meaning in _MEANINGS.items():
        if word in text:
            return meaning
    return "the coordinator is not in reach; tried again every few seconds"
