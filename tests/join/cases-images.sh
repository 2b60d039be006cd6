# shellcheck shell=bash disable=SC2154 # pid is start's
# Container images that travel in the image, and are in containerd's store before kubeadm looks for them.

PAUSE=registry.k8s.io/pause:3.10.2
PROXY=registry.k8s.io/kube-proxy:v1.36.2

# images NAME...: what the builder lays down.
images() {
    touch /t/containerd /t/ctr
    mkdir -p /etc/nodeimg
    : >/etc/nodeimg/node.env
    rm -rf /usr/lib/nodeimg/images
    /t/tests/layout /usr/lib/nodeimg "$@"
}

import() { # [STATUS]
    local status=0
    timeout 60 /usr/lib/nodeimg/import-images >>/t/out 2>&1 || status=$?
    [ $status = "${1:-0}" ] || fail "import-images ended with $status"
}

# The sub-commands of ctr that change the store.
changes() {
    awk '$2 != "list" { printf "%s%s", sep, $2; sep = " " }' /t/ctr
}

stored() {
    awk '{ printf "%s%s%s", sep, $1, $3 == "pinned" ? "!" : ""; sep = " " }' /t/store
}

case_images_are_imported_once_under_their_names() { # on a worker
    images $PAUSE $PROXY
    import
    equal "$(stored)" "$PAUSE! $PROXY!"
    equal "$(cut -d' ' -f2 /t/store | sort)" "$(cut -d' ' -f1 /usr/lib/nodeimg/images.list | sort)"
    diff -r /t/taken /usr/lib/nodeimg/images || fail 'the layout did not arrive'
    equal "$(changes)" 'import label label'
    has /dev/console 'container images are imported'
    [ -e /run/nodeimg/images-ready ] || fail 'nobody is told'
    # The next boot.
    rm -r /run/nodeimg
    import
    equal "$(changes)" 'import label label'
    [ -e /run/nodeimg/images-ready ] || fail 'nobody is told'
    gone /run/nodeimg/images
}

case_an_import_that_a_power_cut_stopped_begins_anew() { # on a worker
    images $PAUSE $PROXY
    echo hang >/t/import
    setsid /usr/lib/nodeimg/import-images >>/t/out 2>&1 &
    pid=$!
    power_cut
    gone /var/lib/nodeimg/images
    # What containerd's other half keeps of it, and what is none of ours.
    echo "sha256:0123 $(cut -d' ' -f2 /t/store)" >>/t/store
    echo "example.org/other:1 sha256:4567" >>/t/store
    : >/t/ctr
    import
    equal "$(changes)" 'remove remove import label label'
    equal "$(stored)" "example.org/other:1 $PAUSE! $PROXY!"
}

case_an_image_that_is_gone_is_brought_in_again() { # on a worker
    images $PAUSE $PROXY
    import
    sed -i "\\|^$PAUSE |d" /t/store
    : >/t/ctr
    import
    # Nothing of what runs is taken away.
    equal "$(changes)" 'import label label'
    equal "$(stored)" "$PAUSE! $PROXY!"
}

case_an_import_that_fails_is_no_success() { # on a worker
    images $PAUSE $PROXY
    echo fail >/t/import
    import 1
    gone /run/nodeimg/images-ready /var/lib/nodeimg/images
    echo half >/t/import
    import 1
    has /t/out "containerd did not take every container image: sha256:"
    gone /run/nodeimg/images-ready /var/lib/nodeimg/images
    import
    equal "$(stored)" "$PAUSE! $PROXY!"
}

case_who_joins_waits_for_the_images() { # on a worker
    images $PAUSE
    setsid /usr/lib/nodeimg/await-images >>/t/out 2>&1 &
    pid=$!
    until_state phase images
    import
    wait "$pid" || fail 'await-images ended badly'
    rm -r /run/nodeimg /usr/lib/nodeimg/images
    timeout 10 /usr/lib/nodeimg/await-images || fail 'waits for what is not there'
}

# Debian's containerd itself, its store on a memory's file system, where it can mount layers.
real() {
    local program
    program=$(/t/tests/containerd) || fail 'no containerd'
    PATH=${program%/*}:$PATH
    mkdir -p /run/store
    printf 'version = 3\nroot = "/run/store"\nstate = "/run/containerd"\ndisabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]\n' >/run/containerd.toml
    setsid "$program" --config /run/containerd.toml >/t/containerd.log 2>&1 &
    pid=$!
    until ctr --connect-timeout 1s version >/dev/null 2>&1; do
        kill -0 "$pid" || fail "$(tail -n 20 /t/containerd.log)"
        /bin/sleep 0.05
    done
}

ours() {
    ctr --namespace k8s.io "$@"
}

# The folder that a container of an image would see.
unpacked() {
    find /run/store/io.containerd.snapshotter.v1.overlayfs/snapshots -path '*/fs/name' | while read -r it; do
        [ "$(cat "$it")" != "$1" ] || echo "${it%/name}"
    done
}

case_containerd_itself_takes_what_the_builder_lays_down() { # on a worker
    real
    images $PAUSE $PROXY
    import
    equal "$(ours images list --quiet | sort)" "$(printf '%s\n' $PAUSE $PROXY | sort)"
    for name in $PAUSE $PROXY; do
        ours images check "name==$name" | grep ' complete (2/2) .* true' >/dev/null || fail "$(ours images check)"
        ours images list "name==$name" | grep 'io.cri-containerd.pinned=pinned' >/dev/null || fail "$name is not pinned"
        [ -n "$(unpacked "$name")" ] || fail "$name is not unpacked"
    done
    # A name that goes by a digest keeps it, though it stands for one of the list's images.
    images $PAUSE $PROXY quay.io/x/y@
    import
    fixed=$(sed -n 's/.* \(quay.*\)/\1/p' /usr/lib/nodeimg/images.list)
    [ "${#fixed}" -gt 80 ] || fail "$fixed"
    ours images list --quiet | grep -xF "$fixed" >/dev/null || fail "$(ours images list --quiet)"
    ours images check "name==$fixed" | grep ' complete (2/2) .* true' >/dev/null || fail "$(ours images check)"
    images $PAUSE $PROXY
    # What a power cut does to a layer that was unpacked and not yet on the disk.
    ours images tag $PAUSE sha256:0123 >/dev/null
    : >"$(unpacked $PAUSE)/bulk"
    rm /var/lib/nodeimg/images
    import
    equal "$(stat -c %s "$(unpacked $PAUSE)/bulk")" $((512 << 10))
    equal "$(ours images list --quiet | sort)" "$(printf '%s\n' $PAUSE $PROXY "$fixed" | sort)"
    # One that somebody removed.
    ours images remove --sync $PROXY >/dev/null
    import
    [ -n "$(unpacked $PROXY)" ] || fail "$PROXY is not back"
    kill -9 -- -"$pid"
}

case_containerd_itself_refuses_a_layer_that_is_cut_off() { # on a worker
    real
    images $PAUSE $PROXY!
    import 1
    gone /run/nodeimg/images-ready /var/lib/nodeimg/images
    images $PAUSE $PROXY
    import
    [ -n "$(unpacked $PROXY)" ] || fail "$PROXY is not there"
    kill -9 -- -"$pid"
}
