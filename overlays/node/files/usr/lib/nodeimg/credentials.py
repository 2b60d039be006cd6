"""Client certificates that a control plane signs for itself, with the authorities of its seed: kubeadm's own do not exist before it joins.

Valid for as long as their authority is, not from now: the others' clocks may be behind. They are kept in memory, for root alone, and removed
when the node has joined.
"""

import contextlib
import os
import pathlib
import ssl
import subprocess
import tempfile
import time

PKI = pathlib.Path("/etc/nodeimg/pki")
KEPT = pathlib.Path("/run/nodeimg/peer")

SETTINGS = """[ca]
default_ca = it
[it]
database = {0}/index
new_certs_dir = {0}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = client
[any]
organizationName = optional
commonName = supplied
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
"""


def _openssl(*args):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True, umask=0o077).stdout


def _dates(certificate):
    """notBefore and notAfter, as `openssl ca` takes them."""
    for line in _openssl("x509", "-in", str(certificate), "-noout", "-dates").splitlines():
        seconds = ssl.cert_time_to_seconds(line.partition("=")[2])
        yield time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


def client(authority):
    """Returns the file with a certificate and its key, signed by PKI/authority; made if it is not there yet."""
    kept = KEPT / (authority.replace("/", "-") + ".pem")
    if not kept.exists():
        KEPT.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as folder:
            _make(PKI / authority, folder)
            whole = pathlib.Path(folder, "crt").read_text(encoding="ascii") + pathlib.Path(folder, "key").read_text(encoding="ascii")
            pem = pathlib.Path(folder, "pem")
            pem.touch(mode=0o600)
            pem.write_text(whole, encoding="ascii")
            # Whoever is first: who reads the certificate reads the file again for its key.
            with contextlib.suppress(FileExistsError):
                os.link(pem, kept)
    return kept


def _make(authority, folder):
    settings = pathlib.Path(folder, "cnf")
    settings.write_text(SETTINGS.format(folder), encoding="ascii")
    pathlib.Path(folder, "index").touch()
    start, end = _dates(f"{authority}.crt")
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{folder}/key")
    # The group that Kubernetes lets do all, before there is any role; etcd takes whom its authority signed.
    _openssl("req", "-new", "-config", str(settings), "-key", f"{folder}/key", "-subj", "/O=system:masters/CN=nodeimg-join", "-out", f"{folder}/csr")
    _openssl("ca", "-batch", "-notext", "-config", str(settings), "-cert", f"{authority}.crt", "-keyfile", f"{authority}.key",
             "-in", f"{folder}/csr", "-startdate", start, "-enddate", end, "-out", f"{folder}/crt")
