"""Certificates that release 0.1.0 wrote are read, keep their digests, and pass both re-checks under today's ids."""

import json
from pathlib import Path

import pytest

from proofs_check.recheck import recheck
from redundancy.certificates.certificate import BoundCertificate, registered
from redundancy.certificates.former_ids import FORMER_IDS, current_id
from redundancy.certificates.pair import LayerPairCertificate

FILE = Path(__file__).parent / "stored" / "certificates_0.1.0.json"
KINDS = {"skip-it/bound-certificate/1": BoundCertificate, "skip-it/layer-pair-certificate/1": LayerPairCertificate}
BODIES = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("body", BODIES, ids=lambda b: b.get("certificate", {}).get("theorem", "pair"))
def test_a_stored_certificate_is_read_and_rechecked(body):
    text = json.dumps(body)
    certificate = KINDS[body["schema"]].from_json(text)
    assert certificate.recheck().ok, certificate.recheck().problems
    assert recheck(text).ok, str(recheck(text))
    again = KINDS[body["schema"]].from_json(certificate.to_json())
    assert again == certificate
    assert recheck(certificate).ok, "written anew, under today's ids"


def test_the_stored_ids_are_those_of_the_release():
    bounds = [body["certificate"]["theorem"] for body in BODIES if "certificate" in body]
    assert len(bounds) > 10
    assert set(bounds) <= set(FORMER_IDS)
    assert {current_id(old) for old in bounds} <= set(registered())


def test_an_altered_former_id_is_refuted():
    body = next(b for b in BODIES if b.get("certificate", {}).get("theorem") == "mean.betting_upper")
    body["certificate"]["theorem"] = "mean.betting_lower"
    assert not recheck(json.dumps(body)).ok
