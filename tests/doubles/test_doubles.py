"""Tests of the doubles themselves, without root and without a network but loopback: `python3 -m unittest discover -s tests/doubles`.
A double that takes everything proves nothing of nodeimg: what the real programs refuse is tried once each, beside something they take."""

import contextlib
import copy
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import types
import unittest
import unittest.mock
import urllib.request

sys.dont_write_bytecode = True

HERE = pathlib.Path(__file__).resolve().parent
BUILDER = HERE.parents[1] / "builder/cluster/src"
PLACE = tempfile.TemporaryDirectory()
# Before the doubles' parts read them.
os.environ["KUBEADM_DOUBLE_STATE"] = PLACE.name + "/state"
os.environ["KUBEADM_DOUBLE_ETC"] = PLACE.name + "/etc"
sys.path.insert(0, str(HERE / "lib"))

import yaml  # noqa: E402

import api  # noqa: E402
import etcd  # noqa: E402
import join  # noqa: E402
import kinds  # noqa: E402
import kube_vip  # noqa: E402
import node  # noqa: E402
import pki  # noqa: E402
import preflight  # noqa: E402
import record  # noqa: E402
import schema  # noqa: E402

GOOD, OTHER, EXPIRED, UNSIGNED = "aaaaaa.0123456789abcdef", "bbbbbb.0123456789abcdef", "cccccc.0123456789abcdef", "dddddd.0123456789abcdef"


def tearDownModule():  # noqa: N802  unittest's name
    """Removes the files of all tests."""
    PLACE.cleanup()


class Configuration(unittest.TestCase):
    """kubeadm's file: what nodeimg writes is taken, and each kind of error is named."""

    def written(self, name):
        """A file as nodeimg writes it, on a node."""
        return (BUILDER / "kubeadm/golden" / name).read_text().replace("@NODE_IP@", "10.0.0.21")

    def validate(self, text):
        """`kubeadm config validate`: status and complaint."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([sys.executable, "-B", HERE / "kubeadm", "config", "validate", "--config", file.name], capture_output=True,
                                  text=True, check=False, env={**os.environ, "PYTHONPATH": str(HERE / "lib")})
        return done.returncode, done.stderr

    def refused(self, text, complaint):
        """The file is refused, for this."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            with self.assertRaisesRegex(schema.Invalid, complaint):
                schema.read(file.name)

    def test_what_nodeimg_writes_is_taken_and_an_unknown_field_is_not(self):
        for name in ("knobs-init.yaml", "knobs-worker.yaml"):
            self.assertEqual(self.validate(self.written(name)), (0, ""))
        status, complaint = self.validate(self.written("knobs-init.yaml").replace("  dnsDomain:", "  dnsDomains:"))
        self.assertEqual(status, 1)
        self.assertIn('unknown field "ClusterConfiguration.networking.dnsDomains"', complaint)

    def test_errors_are_named(self):
        init, worker = self.written("knobs-init.yaml"), self.written("knobs-worker.yaml")
        for text, old, new, complaint in (
            (init, "clusterName: knobs", "clusterName: knobs\nclusterName: more", "key 'clusterName' already set in map"),
            (init, "kubeadm.k8s.io/v1beta4", "kubeadm.k8s.io/v1beta3", "no kind 'InitConfiguration' is registered for 'kubeadm.k8s.io/v1beta3'"),
            (init, "kind: KubeletConfiguration", "kind: KubeletConfig", "no kind 'KubeletConfig'"),
            (init, "cgroupDriver:", "cgroupDrivers:", 'unknown field "KubeletConfiguration.cgroupDrivers"'),
            (init, "bindPort: 6443", 'bindPort: "6443"', "bindPort: expected a port"),
            (init, "10.244.0.0/16", "10.32.0.0/12", "overlap"),
            (init, "discovery: 15m0s", "discovery: 15 minutes", "is not a duration"),
            (worker, "caCertHashes:", "caCertHash:", 'unknown field "JoinConfiguration.discovery.bootstrapToken.caCertHash"'),
            (worker, "sha256:", "sha1:", "is not a pin"),
        ):
            self.assertIn(old, text)
            self.refused(text.replace(old, new), complaint)

    def test_a_pin_has_to_be_there(self):
        document = yaml.safe_load(self.written("knobs-worker.yaml"))
        del document["discovery"]["bootstrapToken"]["caCertHashes"]
        self.refused(yaml.safe_dump(document), "without caCertHashes")


class Machine(unittest.TestCase):
    """Checks before a machine is touched."""

    def test_an_address_of_no_card_is_refused(self):
        def complaint(address):
            registration = {"kubeletExtraArgs": [{"name": "node-ip", "value": address}]}
            with unittest.mock.patch.object(preflight, "_runtime", return_value="no runtime here"):
                with self.assertRaises(preflight.Failed) as raised:
                    preflight.check(registration, False, {"advertiseAddress": address, "bindPort": 6443})
            return str(raised.exception)

        foreign, own = complaint("203.0.113.7"), complaint("127.0.0.1")
        for name in ("Double-advertiseAddress", "Double-node-ip"):
            self.assertIn(f"[ERROR {name}]", foreign)
            self.assertNotIn(name, own)

    def test_what_was_left_is_refused(self):
        left = pathlib.Path(record.ETC, "manifests/etcd.yaml")
        left.parent.mkdir(parents=True, exist_ok=True)
        left.touch()
        self.addCleanup(left.unlink)
        with unittest.mock.patch.object(preflight, "_runtime", return_value="no runtime here"):
            with self.assertRaisesRegex(preflight.Failed, "manifests/etcd.yaml already exists"):
                preflight.check({}, False, {})


class Authorities(unittest.TestCase):
    """What lies in the folder of certificates is used, or refused."""

    @classmethod
    def setUpClass(cls):
        cls.made = tempfile.mkdtemp(dir=PLACE.name)
        with contextlib.redirect_stdout(None):
            pki.authority(cls.made, "ca", "/CN=one")

    def setUp(self):
        """A copy of one authority."""
        self.folder = tempfile.mkdtemp(dir=PLACE.name)
        shutil.copytree(self.made, self.folder, dirs_exist_ok=True)

    def refused(self, complaint, work=lambda folder: pki.authority(folder, "ca", "/CN=one")):
        """The folder is refused, for this."""
        with self.assertRaisesRegex(pki.Broken, complaint):
            work(self.folder)

    def test_what_belongs_together_is_used(self):
        before = pathlib.Path(self.folder, "ca.crt").read_bytes()
        with contextlib.redirect_stdout(None):
            pki.authority(self.folder, "ca", "/CN=one")
        self.assertEqual(pathlib.Path(self.folder, "ca.crt").read_bytes(), before)

    def test_a_key_that_is_missing_is_refused(self):
        os.unlink(self.folder + "/ca.key")
        self.refused("external CA mode")

    def test_a_foreign_key_is_refused(self):
        with contextlib.redirect_stdout(None):
            pki.authority(self.folder, "other", "/CN=other")
        os.replace(self.folder + "/other.key", self.folder + "/ca.key")
        self.refused("is not the key of")

    def test_a_key_that_others_can_read_is_refused(self):
        os.chmod(self.folder + "/ca.key", 0o644)
        self.refused("can be read by others")

    def test_a_leaf_is_no_authority(self):
        pki.leaf((self.folder + "/ca.crt", self.folder + "/ca.key"), self.folder + "/leaf", "/CN=leaf")
        for end in ("crt", "key"):
            os.replace(f"{self.folder}/leaf.{end}", f"{self.folder}/ca.{end}")
        self.refused("is not a certificate authority")

    def test_the_service_accounts_keys_belong_together(self):
        pki.key_pair(self.folder, "sa")
        pki.key_pair(self.folder, "sa")
        pathlib.Path(self.folder, "sa.pub").write_bytes(pki._openssl("pkey", "-in", self.folder + "/ca.key", "-pubout"))
        self.refused("is not the public half", lambda folder: pki.key_pair(folder, "sa"))
        os.unlink(self.folder + "/sa.pub")
        self.refused("only one of", lambda folder: pki.key_pair(folder, "sa"))


def free_port():
    """A port nobody listens on."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


class Joining(unittest.TestCase):
    """kubeadm join, against the API server's double over real TLS; etcd's double is a dictionary here."""

    @classmethod
    def setUpClass(cls):
        cls.pki, cls.foreign = tempfile.mkdtemp(dir=PLACE.name), tempfile.mkdtemp(dir=PLACE.name)
        with contextlib.redirect_stdout(None):
            for folder in (cls.pki, cls.foreign):
                ca = pki.authority(folder, "ca", "/CN=kubernetes")
                pki.leaf(ca, folder + "/apiserver", "/CN=kube-apiserver", ["127.0.0.1", "kubernetes"], "serverAuth")
            for name, group in (("super", "system:masters"), ("admin", "kubeadm:cluster-admins")):
                pki.leaf((cls.pki + "/ca.crt", cls.pki + "/ca.key"), f"{cls.pki}/{name}", f"/O={group}/CN={name}")
        cls.ca_pem = pathlib.Path(cls.pki, "ca.crt").read_bytes()
        cls.port, cls.foreign_port, cls.values = free_port(), free_port(), {}
        for patch in (unittest.mock.patch.object(api, "values", lambda prefix: {key: it for key, it in cls.values.items() if key.startswith(prefix)}),
                      unittest.mock.patch.object(api, "put", cls.put), unittest.mock.patch.object(api.Handler, "log_message", lambda *_: None)):
            patch.start()
            cls.addClassCleanup(patch.stop)
        # The second is a man in the middle: he says what the first says, with a certificate of his own authority.
        for port, folder in ((cls.port, cls.pki), (cls.foreign_port, cls.foreign)):
            threading.Thread(target=api.serve, args=(api.Handler, port, folder + "/apiserver", folder + "/ca.crt", False), daemon=True).start()
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.01)

    @classmethod
    def put(cls, key, content, expect=None):
        """What the doubles of etcd do."""
        revision = cls.values.get(key, {}).get("revision", 0)
        if expect not in (None, revision):
            return False
        cls.values[key] = {"value": content, "revision": revision + 1}
        return True

    def setUp(self):
        """A cluster with tokens that are good, expired, and expired for all but the signature."""
        both, later, before = ["signing", "authentication"], time.time() + 600, time.time() - 1
        info = pathlib.Path(PLACE.name, "info")
        pki.kubeconfig(info, f"https://127.0.0.1:{self.port}", self.ca_pem, "nobody", {})
        tokens = [{"token": GOOD, "usages": both, "expires": later}, {"token": EXPIRED, "usages": both, "expires": before},
                  {"token": UNSIGNED, "usages": ["authentication"], "expires": None}]
        self.values.clear()
        self.put("config", {"version": "v1.36.2", "cluster": {"controlPlaneEndpoint": f"127.0.0.1:{self.port}", "kubernetesVersion": "v1.36.2"}, "kubelet": {},
                            "endpoint": f"127.0.0.1:{self.port}", "tokens": tokens, "clusterInfo": info.read_text()})
        shutil.rmtree(record.ETC, ignore_errors=True)

    def join(self, token=GOOD, pin=None, endpoint=None, bootstrap=None, plane=False):
        """One kubeadm join whose discovery is not repeated; what needs systemd is left out."""
        config = {"nodeRegistration": {"name": "node01", "kubeletExtraArgs": [{"name": "node-ip", "value": "127.0.0.1"}]}, "timeouts": {"discovery": "0s"},
                  "discovery": {"bootstrapToken": {"token": token, "apiServerEndpoint": endpoint or f"127.0.0.1:{self.port}",
                                                   "caCertHashes": [pin or pki.pin(self.ca_pem)]}}}
        if bootstrap:
            config["discovery"]["tlsBootstrapToken"] = bootstrap
        if plane:
            config["controlPlane"] = {"localAPIEndpoint": {"advertiseAddress": "127.0.0.1", "bindPort": self.port}}
        with unittest.mock.patch.object(preflight, "check"), unittest.mock.patch.object(join, "start_kubelet"), contextlib.redirect_stdout(None):
            join.join({"JoinConfiguration": config})

    def refused(self, complaint, error=node.Failed, **how):
        """The join fails, for this, and no node is known."""
        with self.assertRaisesRegex(error, complaint):
            self.join(**how)
        self.assertEqual([it for it in self.values if it.startswith("nodes/")], [])

    def test_a_good_token_joins(self):
        self.join()
        self.assertEqual(self.values["nodes/node01"]["value"]["role"], "worker")
        self.assertTrue(os.path.exists(f"{record.ETC}/kubelet.conf"))

    def test_a_wrong_pin_is_refused(self):
        self.refused("none of the public keys .* are pinned", pin="sha256:" + "0" * 64)

    def test_an_unknown_token_is_refused(self):
        self.refused("could not find a JWS signature .* for token ID 'bbbbbb'", token=OTHER)

    def test_an_expired_token_is_refused(self):
        self.refused("could not find a JWS signature .* for token ID 'cccccc'", token=EXPIRED)

    def test_a_token_that_signs_nothing_finds_no_cluster_but_joins_one(self):
        self.refused("could not find a JWS signature", token=UNSIGNED)
        self.join(bootstrap=UNSIGNED)

    def test_who_found_the_cluster_still_needs_a_token_to_join(self):
        self.refused("401", bootstrap=EXPIRED)
        self.refused("401", bootstrap=OTHER)

    def test_a_secret_that_is_not_the_tokens_is_refused(self):
        self.refused("JWS signature of cluster-info does not match", token=GOOD[:-1] + "0")

    def test_where_nobody_answers_nobody_joins(self):
        self.refused("couldn't validate the identity", endpoint=f"127.0.0.1:{free_port()}")

    def test_a_name_the_certificate_lacks_is_refused(self):
        self.refused("127.0.0.2", endpoint=f"127.0.0.2:{self.port}")

    def test_a_man_in_the_middle_is_refused(self):
        self.refused("CERTIFICATE_VERIFY_FAILED", endpoint=f"127.0.0.1:{self.foreign_port}")

    def test_a_cluster_that_is_not_open_takes_nobody(self):
        self.values["config"]["value"]["clusterInfo"] = None
        self.refused("403")

    def test_a_node_that_is_ready_is_not_replaced(self):
        self.join()
        with self.assertRaisesRegex(node.Failed, "already exists in the cluster"):
            self.join()

    def test_a_control_plane_needs_the_clusters_authorities(self):
        self.refused("sa.key.* missing", plane=True)
        folder = pathlib.Path(record.ETC, "pki")
        shutil.copytree(self.foreign, folder, dirs_exist_ok=True)
        with contextlib.redirect_stdout(None):
            pki.key_pair(folder, "sa")
            pki.authority(folder, "front-proxy-ca", "/CN=front-proxy-ca")
            pki.authority(folder / "etcd", "ca", "/CN=etcd-ca")
        self.refused("is not the cluster's authority", plane=True)
        # With its certificate alone it is not the cluster's either.
        shutil.copy(self.pki + "/ca.crt", folder)
        self.refused("is not the key of", pki.Broken, plane=True)

    def kubeconfig(self, name):
        """A kubeconfig of an administrator: `super`, or `admin`, who is one when kubeadm has said so."""
        path = pathlib.Path(PLACE.name, name + ".conf")
        credentials = [pathlib.Path(self.pki, f"{name}.{end}").read_bytes() for end in ("crt", "key")]
        pki.kubeconfig(path, f"https://127.0.0.1:{self.port}", self.ca_pem, name, pki.certificate_credentials(*credentials))
        return path

    def apply(self, text):
        """`kubectl apply`: status and complaint."""
        file = pathlib.Path(PLACE.name, "some.yaml")
        file.write_text(text)
        command = [sys.executable, "-B", HERE / "kubectl", "--kubeconfig", self.kubeconfig("super"), "apply", "--server-side", "--filename", file]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(HERE / "lib")})
        return done.returncode, done.stderr

    def test_apply_is_strict(self):
        text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: b}\n---\nkind: Unheard\napiVersion: v1\nmetadata: {name: two}\nx: y\n"
        self.assertEqual(self.apply(text), (0, ""))
        applied = pathlib.Path(record.STATE, "applied.log")
        before = applied.read_text()
        self.assertRegex(before, r"^[0-9a-f]{64} some\.yaml\n$")
        status, complaint = self.apply(text.replace("\ndata:", "\ndatas:"))
        self.assertEqual(status, 1)
        self.assertRegex(complaint, r'^Error from server \(422\): strict decoding error: unknown field "ConfigMap one.datas"')
        self.assertEqual(applied.read_text(), before)

    def lease(self, node, kubeconfig="super"):
        """The lease of the virtual address, as a node asks for it that takes another's for over after 0.2 s."""
        return kube_vip.Lease(types.SimpleNamespace(node=node, kubeconfig=self.kubeconfig(kubeconfig), host="127.0.0.1", port=self.port, renew=10,
                                                    lease=0.2, namespace="kube-system", name="plndr-cp-lock"))

    def test_a_lease_is_of_one_until_it_is_given_back_or_over(self):
        one, other = self.lease("one"), self.lease("other")
        self.assertTrue(one.take("one"))
        self.assertFalse(other.take("other"))
        self.assertTrue(one.take("one"))
        time.sleep(0.3)
        self.assertFalse(other.take("other"))  # it was renewed since it was last looked at
        time.sleep(0.3)
        self.assertTrue(other.take("other"))
        self.assertFalse(one.take("one"))
        other.take("")
        self.assertTrue(one.take("one"))

    def test_two_that_take_a_lease_at_once_do_not_both_have_it(self):
        one, call = self.lease("one"), kube_vip.Lease._call

        def between(lease, method, path, body=None):
            """The other one comes after this one has looked."""
            answer = call(lease, method, path, body)
            if method == "GET" and lease is one:
                self.assertTrue(self.lease("other").take("other"))
            return answer

        with unittest.mock.patch.object(kube_vip.Lease, "_call", between):
            self.assertFalse(one.take("one"))

    def test_admin_conf_has_no_rights_until_kubeadm_gives_them(self):
        lease = self.lease("one", "admin")
        with self.assertRaisesRegex(OSError, "401"):
            lease.take("one")
        self.values["config"]["value"]["admins"] = True
        self.assertTrue(lease.take("one"))

    def test_a_stranger_is_not_the_administrator(self):
        with self.assertRaisesRegex(OSError, "401"):
            urllib.request.urlopen(f"https://127.0.0.1:{self.port}/api/v1/nodes", context=pki.context(self.ca_pem))


class Members(unittest.TestCase):
    """etcd's members as one of them sees the others."""

    def asked(self, error):
        """How often a member is tried that is asked for twice."""
        with unittest.mock.patch.object(etcd.socket, "create_connection", side_effect=error) as connect:
            one = etcd.member("a", "192.0.2.1")
            self.assertEqual((etcd.revision(one), etcd.revision(one)), (None, None))
        return connect.call_count

    def test_a_machine_that_is_off_is_waited_for_once(self):
        self.assertEqual(self.asked(TimeoutError()), 1)
        self.assertEqual(self.asked(ConnectionRefusedError()), 2)


def rendered(name):
    """The objects in the files that nodeimg's tests have its seeds hold: each a block of a list of cloud-init's."""
    text = (BUILDER / "seed/golden" / name).read_text()
    for block in re.findall(r"^  content: \|\n((?:    .*\n|\n)+)", text, re.M):
        yield from (it for it in yaml.safe_load_all(textwrap.dedent(block)) if it)


class Objects(unittest.TestCase):
    """Kubernetes' objects: nodeimg's are taken, and an error in each is named."""

    def refused(self, document, complaint):
        """The object is refused, for this."""
        with self.assertRaisesRegex(kinds.Invalid, complaint):
            kinds.check(document)

    def test_what_nodeimg_renders_is_taken_and_is_known(self):
        known = set()
        for name in ("calico-metallb.yaml", "flannel-metallb.yaml", "kube-vip.yaml"):
            for document in rendered(name):
                if document.get("apiVersion"):  # a user's own file is a word there
                    kinds.check(document)
                    known.add((document["apiVersion"], document["kind"]))
        self.assertEqual(known - set(kinds.KINDS), {("apps/v1", "DaemonSet")})
        self.assertGreaterEqual(len(known), 9)

    def test_no_field_that_nodeimg_renders_may_be_misspelt_or_of_another_type(self):
        def fields(value, path=()):
            """The paths to all fields that have names of the kind's own."""
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
                if isinstance(key, str) and path[-1:] not in (("data",), ("labels",), ("annotations",)):
                    yield (*path, key)
                yield from fields(inner, (*path, key))

        tried = 0
        for name in ("calico-metallb.yaml", "flannel-metallb.yaml", "kube-vip.yaml"):
            for document in rendered(name):
                if (document.get("apiVersion"), document["kind"]) not in kinds.KINDS:
                    continue
                for path in fields(document):
                    if path[0] in ("apiVersion", "kind"):
                        continue
                    for change in ("name", "type"):
                        changed = holder = copy.deepcopy(document)
                        for step in path[:-1]:
                            holder = holder[step]
                        if change == "name":
                            holder[path[-1] + "s"] = holder.pop(path[-1])
                        else:
                            holder[path[-1]] = 1.5
                        with self.subTest(document["kind"], path=path, change=change):
                            self.refused(changed, "unknown field|required value|expected")
                        tried += 1
        self.assertGreater(tried, 100)

    def test_errors_are_named(self):
        pool = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "a"}, "spec": {"addresses": ["10.0.0.1-10.0.0.2"]}}
        kinds.check(pool)
        self.refused({**pool, "spec": {"address": []}}, "IPAddressPool a.spec.addresses: required value")
        self.refused({**pool, "spec": {"addresses": "10.0.0.1-10.0.0.2"}}, "spec.addresses: expected a list")
        self.refused({**pool, "spec": {**pool["spec"], "autoAsign": True}}, 'unknown field "IPAddressPool a.spec.autoAsign"')
        self.refused({**pool, "metadata": {"name": "A"}}, "not a name of Kubernetes")
        calico = {"apiVersion": "operator.tigera.io/v1", "kind": "Installation", "metadata": {"name": "default"}}
        kinds.check(calico)
        self.refused({**calico, "spec": {"calicoNetwork": {"bgp": True}}}, "calicoNetwork.bgp: expected a string, found True")
        self.refused({**calico, "spec": {"calicoNetwork": {"bgp": "On"}}}, "unsupported value 'On'; supported are Enabled, Disabled")
        self.refused({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"n": 1}}, "data.n: expected a string, found 1")
        self.refused({"kind": "ConfigMap"}, "without apiVersion")

    def test_the_files_of_the_profiles_are_taken(self):
        seen = set()
        for file in (HERE.parents[1] / "profiles/clusters").glob("*.yaml"):
            for document in yaml.safe_load_all(file.read_text()):
                kinds.check(document)
                seen.add(document["kind"])
        self.assertIn("NetworkPolicy", seen)


class VirtualAddress(unittest.TestCase):
    """kube-vip's pod: nodeimg's is taken, and one that would hold no address is not."""

    def setUp(self):
        """The founder's, whose kubeconfig is there, on this machine's own card."""
        self.file = pathlib.Path(PLACE.name, "super-admin.conf")
        self.file.touch()
        text = (BUILDER / "seed/golden/kube-vip.yaml").read_text().partition("content: |\n")[2].replace("/etc/kubernetes/super-admin.conf", str(self.file))
        self.text = textwrap.dedent(text).replace('"enp0s8"', '"lo"')

    def found(self, old="", new=""):
        """The settings of the pod, something of it replaced."""
        self.assertIn(old, self.text)
        return kube_vip.settings(yaml.safe_load(self.text.replace(old, new)), "cp1")

    def test_nodeimgs_pod_is_taken(self):
        it = self.found()
        self.assertEqual((it.address, it.interface, it.port, it.host, it.kubeconfig, it.namespace, it.name, it.lease, it.renew, it.retry, it.node),
                         ("10.0.0.4", "lo", 6443, "127.0.0.1", str(self.file), "kube-system", "plndr-cp-lock", 15, 10, 2, "cp1"))

    def test_what_would_hold_no_address_is_refused(self):
        for old, new, complaint in (
            ('vip_arp, value: "true"', 'vip_arp, value: "false"', "vip_arp is 'false'"), ('vip_arp, value: "true"', "vip_arp, value: true", "expected a string"),
            ("cp_enable", "cp_enabled", "no variables of kube-vip's: \\['cp_enabled'\\]"), ("hostNetwork: true", "hostNetworks: true", "unknown field"),
            ("hostNetwork: true", "hostNetwork: false", "hostNetwork is needed"), ("[NET_ADMIN, NET_RAW]", "[NET_ADMIN]", "NET_RAW"),
            ('"lo"', '"eth77"', "no interface eth77"), ("hostnames: [kubernetes]", "hostnames: [other]", "no host alias"),
            ('vip_renewdeadline, value: "10"', 'vip_renewdeadline, value: "15"', "15 s have to be more than 15 s"),
            ("mountPath: /etc/kubernetes/admin.conf", "mountPath: /etc/kubernetes/super-admin.conf", "is None, which is no file"),
            ("      - { name: address,", "      - { name: vip_address,", "address is missing"), ("[manager]", "[managers]", "args are"),
        ):
            with self.subTest(new), self.assertRaisesRegex(kinds.Invalid, complaint):
                self.found(old.strip(), new.strip())

    def test_a_kubeconfig_that_is_not_there_is_refused(self):
        self.file.unlink()
        with self.assertRaisesRegex(kinds.Invalid, "super-admin.conf, which is no file"):
            self.found()


if __name__ == "__main__":
    unittest.main()
