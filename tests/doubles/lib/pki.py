"""Part of the nodeimg TEST DOUBLE of kubeadm: authorities, leaf certificates and pins on disk, by the openssl program."""

import base64
import hashlib
import os
import ssl
import subprocess
import tempfile


SETTINGS = """[ca]
default_ca = it
[it]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = leaf
[any]
organizationName = optional
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = {usage}
{sans}
"""


class Broken(Exception):
    """A certificate or key on disk is wrong."""


def _openssl(*args, data=None):
    done = subprocess.run(["openssl", *args], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise Broken(f"openssl {' '.join(args[:1])}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def pin(certificate):
    """sha256:<hex> of the subject public key info of a PEM certificate (bytes)."""
    public = _openssl("x509", "-pubkey", "-noout", data=certificate)
    return "sha256:" + hashlib.sha256(_openssl("pkey", "-pubin", "-outform", "der", data=public)).hexdigest()


def authority(folder, name, subject):
    """Uses folder/name.{crt,key} when there, after a check that they belong together and are an authority; makes them otherwise.
    A certificate without its key is kubeadm's external CA mode, which the double does not know."""
    crt, key = os.path.join(folder, name + ".crt"), os.path.join(folder, name + ".key")
    if os.path.exists(crt):
        if not os.path.exists(key):
            raise Broken(f"{crt} without {key}: the external CA mode is not in this test double")
        with open(crt, "rb") as file:
            public = _openssl("x509", "-pubkey", "-noout", data=file.read())
        if public != _openssl("pkey", "-in", key, "-pubout"):
            raise Broken(f"{key} is not the key of {crt}")
        text = _openssl("x509", "-in", crt, "-noout", "-text", "-checkend", "0")
        if b"CA:TRUE" not in text:
            raise Broken(f"{crt} is not a certificate authority")
        if os.stat(key).st_mode & 0o077:
            raise Broken(f"{key} can be read by others")
        print(f"[certs] Using existing {name} certificate authority")
        return crt, key
    os.makedirs(folder, exist_ok=True)
    print(f'[certs] Generating "{name}" certificate and key')
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", crt, "-days", "3650", "-subj", subject,
             "-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign")
    os.chmod(key, 0o600)
    return crt, key


def key_pair(folder, name):
    """The service account's key pair: checked, or made."""
    key, public = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pub")
    if os.path.exists(key) != os.path.exists(public):
        raise Broken(f"only one of {key} and {public} is there")
    if os.path.exists(key):
        with open(public, "rb") as file:
            if _openssl("pkey", "-pubin", data=file.read()) != _openssl("pkey", "-in", key, "-pubout"):
                raise Broken(f"{public} is not the public half of {key}")
        return
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    os.chmod(key, 0o600)
    _openssl("pkey", "-in", key, "-pubout", "-out", public)


def leaf(ca, target, subject, names=(), usage="clientAuth"):
    """target.{crt,key} signed by ca = (crt, key). names: host names and addresses. Returns the two as PEM bytes. Valid from its authority's
    first moment on, as kubeadm makes them: the clocks of those who check may be behind."""
    start = _openssl("x509", "-in", ca[0], "-noout", "-startdate", "-dateopt", "iso_8601").decode().partition("=")[2]
    sans = ",".join(("IP:" if n.replace(".", "").isdigit() or ":" in n else "DNS:") + n for n in names)
    # By `openssl ca`: `openssl x509` takes a first moment since OpenSSL 3.4 only.
    with tempfile.TemporaryDirectory() as folder:
        request, settings = os.path.join(folder, "csr"), os.path.join(folder, "cnf")
        with open(os.path.join(folder, "index"), "w", encoding="ascii"), open(settings, "w", encoding="ascii") as file:
            file.write(SETTINGS.format(folder=folder, usage=usage, sans=f"subjectAltName={sans}" if sans else ""))
        _openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", target + ".key", "-out", request, "-subj", subject)
        _openssl("ca", "-batch", "-notext", "-config", settings, "-cert", ca[0], "-keyfile", ca[1], "-in", request, "-days", "365",
                 "-startdate", "".join(it for it in start if it.isdigit()) + "Z", "-out", target + ".crt")
    os.chmod(target + ".key", 0o600)
    with open(target + ".crt", "rb") as crt, open(target + ".key", "rb") as key:
        return crt.read(), key.read()


def kubeconfig(path, server, ca_pem, user, credentials):
    """Writes a kubeconfig, mode 0600. credentials: fields of its user."""
    import yaml
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": f"{user}@kubernetes", "preferences": {},
        "clusters": [{"name": "kubernetes", "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode()}}],
        "contexts": [{"name": f"{user}@kubernetes", "context": {"cluster": "kubernetes", "user": user}}],
        "users": [{"name": user, "user": credentials}],
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        yaml.safe_dump(config, file)


def certificate_credentials(crt, key):
    """The user fields of a kubeconfig for a client certificate."""
    return {"client-certificate-data": base64.b64encode(crt).decode(), "client-key-data": base64.b64encode(key).decode()}


def client(path):
    """A kubeconfig's server, and a TLS client context with its certificate."""
    import yaml
    with open(path, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    made = context(base64.b64decode(cluster["certificate-authority-data"]))
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pem.flush()
        made.load_cert_chain(pem.name)
    return cluster["server"], made


def context(ca_pem=None):
    """A TLS client context that trusts only ca_pem, or, for discovery, anything."""
    made = ssl.create_default_context(cadata=ca_pem.decode() if ca_pem else None)
    if ca_pem is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
