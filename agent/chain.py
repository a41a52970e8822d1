"""Whether a site's authority vouches for a certificate: by the library's path validation, over any intermediates."""

from __future__ import annotations

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

MAX_CERTIFICATES: Final = 4  # root, intermediate, leaf, and one to spare: a chain comes from outside


def ends_utc_s(chain_pem: bytes) -> int:
    """When the first certificate of a chain ends, and with it what it is good for. Raises ValueError for none."""
    return min(int(one.not_valid_after_utc.timestamp()) for one in x509.load_pem_x509_certificates(chain_pem))


def vouched(chain_pem: bytes, ca_pem: bytes, now: dt.datetime) -> list[x509.Certificate]:
    """The certificates of `chain_pem`, its leaf first, when a root in `ca_pem` vouches for the leaf at `now`.

    Raises:
        ValueError: not certificates, too many of them, over, or nobody known has signed them.
    """
    chain, roots = x509.load_pem_x509_certificates(chain_pem), x509.load_pem_x509_certificates(ca_pem)
    if len(chain) > MAX_CERTIFICATES:
        raise ValueError(f"{len(chain)} certificates, at most {MAX_CERTIFICATES} make a chain")
    # a door has a name and no host, so that nothing of the web's rules is asked of its own certificate
    rules = (ExtensionPolicy.permit_all(), ExtensionPolicy.webpki_defaults_ca())
    policy = PolicyBuilder().store(Store(roots)).time(now)
    policy = policy.extension_policies(ee_policy=rules[0], ca_policy=rules[1])
    try:
        policy.build_client_verifier().verify(chain[0], chain[1:])
    except VerificationError as error:
        raise ValueError(str(error)) from error
    return chain
