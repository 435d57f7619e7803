"""Takes two forms of a model, gives the proof that they answer alike – or that they do not."""

from tunewright.parity.probes import Fingerprint, certify, fingerprint, pick_probes

__all__ = ["Fingerprint", "certify", "fingerprint", "pick_probes"]
