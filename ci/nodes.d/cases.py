"""What must hold of clusters that form by themselves. Each case gets a world and says nothing, or raises Failed."""

import time

from node import Failed

# A control plane that comes five minutes after its workers, and that in the shortened time of these tests (see node.PACE): what the workers
# do meanwhile is one loop, and they must come round it many times.
LATE, LATE_IN_SHORT = 300, 20


def claim(condition, text):
    """Fails unless it holds."""
    if not condition:
        raise Failed(text)


def all_ready(plane, names):
    """Waits until a control plane lists exactly these nodes, all Ready."""
    plane.wait(f"{sorted(names)} Ready", lambda: plane.ready() == sorted(names), every=1)


def joined_once(nodes):
    """Of each one's kubeadms the last had success, and none before: what a busy or fallen API server breaks off is made again, what
    had success is not."""
    for node in nodes:
        made = node.calls("init", "join")
        statuses = [it["status"] for it in made]
        claim(statuses.count(0) == 1 and statuses[-1] == 0, f"{node.name}: kubeadm was called {[(it['command'], it.get('message')) for it in made]}")


def in_turn(planes):
    """No two control planes were joining at the same time."""
    spans = sorted((it["time"], it["ended"], plane.name) for plane in planes for it in plane.calls("join"))
    for (_, ended, one), (began, _, other) in zip(spans, spans[1:]):
        claim(ended <= began, f"{other} began to join while {one} was joining")


def healthy(node):
    """systemd and cloud-init are content, and the node's address is the LAN's."""
    node.phase("joined")
    claim(node.state()["address"] == node.address, f"{node.name}: {node.state()}")
    node.wait("cloud-init to end", lambda: "status: done" in node.run("cloud-init", "status")[1], every=1)
    for unit in ("nodeimg-join", "nodeimg-clear-seed", "containerd", "kubelet"):
        status, text = node.run("systemctl", "is-failed", unit)
        claim(status != 0, f"{node.name}: {unit} has failed\n{text}{node.told()}")


def seed_is_cleared(node):
    """No secret is left where the seed was; the machine has them, for root alone."""
    node.wait("the seed to be cleared", lambda: "PRIVATE KEY" not in node.read("var/lib/cloud/seed/nocloud/user-data"))
    _, found = node.run("grep", "-rlE", "PRIVATE KEY|tlsBootstrapToken|(^|[^-])token: ", "/var/lib/cloud", "/run/cloud-init")
    claim(found == "", f"{node.name}: secrets are left in {found}")
    _, readable = node.run("find", "/etc/nodeimg", "-type", "f", "-perm", "/077")
    claim(readable == "", f"{node.name}: others can read {readable}")


def reboots_as_itself(node, plane, names):
    """After a cut of power in the quiet, nothing is done again."""
    before, calls = node.identity(), len(node.calls("init", "join", "reset"))
    node.cut_power()
    node.start()
    healthy(node)
    claim(node.identity() == before, f"{node.name} is another after a reboot: {before}, {node.identity()}")
    claim(len(node.calls("init", "join", "reset")) == calls, f"{node.name} did something again: {node.calls('init', 'join', 'reset')[calls:]}")
    all_ready(plane, names)


def workers_first(world, long):
    """The control plane comes late; then a worker is flashed anew, and comes back as itself."""
    nodes = world.cluster(1, 2)
    plane, *workers = nodes
    names = [it.name for it in nodes]
    for node in workers:
        node.start()
    for node in workers:
        node.phase("endpoint")
    time.sleep(LATE if long else LATE_IN_SHORT)
    plane.start()
    all_ready(plane, names)
    for node in nodes:
        healthy(node)
        seed_is_cleared(node)
    joined_once(nodes)
    first = workers[0]
    reboots_as_itself(first, plane, names)
    was = first.identity()
    first.flash_anew()
    first.phase("joined")
    all_ready(plane, names)
    claim(first.identity() == was, f"{first.name} is another after it was flashed: {was}, {first.identity()}")


def manifests(plane, *names):
    """Gives the first control plane manifests to apply, in this order."""
    for name in names:
        plane.write(f"etc/nodeimg/manifests/{name}.yaml", f"kind: ConfigMap\napiVersion: v1\nmetadata: {{name: {name}}}\n")
    plane.write("etc/nodeimg/manifests.list", "".join(f"{name} /etc/nodeimg/manifests/{name}.yaml\n" for name in names))


def control_plane_first(world, _long):
    """The other order, and the NAT's card second: no node takes its address."""
    nodes = world.cluster(1, 2, cards=("enp0s8", "enp0s3"))
    plane, *workers = nodes
    manifests(plane, "cni", "addon")
    plane.start()
    plane.phase("joined")
    for node in workers:
        node.start()
    all_ready(plane, [it.name for it in nodes])
    for node in nodes:
        healthy(node)
        _, addresses = node.run("ip", "-br", "address")
        claim("10.0.2.15/24" in addresses, f"{node.name}: its NAT card has no address, so that nothing was tried: {addresses}")
    joined_once(nodes)
    applied = [it.split()[1] for it in (plane.read("var/lib/kubeadm-double/applied.log") or "").splitlines()]
    claim(applied == ["cni.yaml", "addon.yaml"], f"applied: {applied}")


def members(plane):
    """etcd's voters, by the file its double keeps."""
    import json  # noqa: PLC0415
    text = plane.read("var/lib/etcd/member/state.json")
    return sorted(it["name"] for it in json.loads(text)["members"] if not it["isLearner"]) if text else []


def together(world):
    """Three control planes and a worker, in the same second."""
    nodes = world.cluster(3, 1)
    *planes, _worker = nodes
    for node in nodes:
        node.start()
    for node in nodes:
        node.phase("joined")
    all_ready(planes[0], [it.name for it in nodes])
    joined_once(nodes)
    in_turn(planes)
    claim([it["command"] for plane in planes for it in plane.calls("init", "join") if it["status"] == 0] == ["init", "join", "join"],
          "the first control plane was not to join")
    claim(members(planes[0]) == ["cp1", "cp2", "cp3"], f"etcd's members are {members(planes[0])}")
    return nodes


def three_at_once(world, long):
    """Three control planes behind a load balancer; with --long twenty times. Then the first is flashed anew: it joins what it once formed."""
    for number in range(19 if long else 0):
        together(world)
        world.clear()
        print(f"     formed {number + 1} of 20", flush=True)
    nodes = together(world)
    first, second = nodes[0], nodes[1]
    names = [it.name for it in nodes]
    first.flash_anew()
    first.phase("joined")
    all_ready(second, names)
    claim([it["command"] for it in first.calls("init", "join") if it["status"] == 0] == ["join"], f"{first.name} called {first.calls('init', 'join')}")
    claim(members(second) == ["cp1", "cp2", "cp3"], f"etcd's members are {members(second)}")


def power_cut_while_forming(world, _long):
    """The power goes at many moments of init; each time the next start goes on, and what others may depend on is never undone."""
    nodes = world.cluster(1, 1)
    plane, worker = nodes
    manifests(plane, "cni")
    worker.start()
    for moment in ("certs", "kubelet-start", "wait-control-plane"):
        plane.hold_at(moment)
        plane.start()
        plane.cut_power_at(moment)
        claim(plane.read("var/lib/nodeimg/formed") is None, f"formed at {moment}")
    for moment in ("upload-config", "addon", "applied cni.yaml"):
        plane.hold_at(moment)
        plane.start()
        plane.cut_power_at(moment)
    resets = len(plane.calls("reset"))
    claim(resets == 3, f"{resets} resets for three attempts that nobody had seen: {plane.calls('init', 'reset')}")
    plane.start()
    all_ready(plane, [it.name for it in nodes])
    for node in nodes:
        healthy(node)
    claim(len(plane.calls("reset")) == 3, "an open cluster was reset")
    joined_once([worker])


def power_cut_while_joining(world, _long):
    """The same of join: a worker, whose files of the first start have no content, and a control plane whose vote etcd already counts on."""
    nodes = world.cluster(3, 1)
    first, second, third, worker = nodes
    first.start()
    worker.start()
    worker.wait("cloud-init to write", lambda: worker.read("etc/nodeimg/node.env"))
    worker.cut_power()
    worker.write("etc/nodeimg/kubeadm.yaml", "")
    first.phase("joined")
    for node, moments in ((worker, ("kubelet-start", "tls-bootstrap")), (second, ("member-added", "member-promoted"))):
        for moment in moments:
            node.hold_at(moment)
            node.start()
            node.cut_power_at(moment)
        node.start()
        node.phase("joined")
    third.start()
    all_ready(first, [it.name for it in nodes])
    for node in nodes:
        healthy(node)
    claim(members(first) == ["cp1", "cp2", "cp3"], f"etcd's members are {members(first)}")


ALL = {it.__name__: it for it in (workers_first, control_plane_first, three_at_once, power_cut_while_forming, power_cut_while_joining)}
