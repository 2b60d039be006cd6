//! Container images that travel in an image: locked by what their names stand for, laid out as OCI says, complete or refused.

use crate::world::{HOST, Place, world};
use nodeimg::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tests::{registry, run, text};

/// What kubeadm of the small world starts besides the sandbox image, and what the cluster adds.
const PROFILE: &str = r#"
summary = "a virtual machine that needs no registry"
extends = ["vm"]

[kubernetes.images]
node = ["registry.k8s.io/kube-proxy:v{version}"]

[preload]
images = ["kubeadm", "quay.io/mini/cni:1"]
"#;

const NAMES: [&str; 3] = [
    "registry.k8s.io/pause:3.10.2",
    "registry.k8s.io/kube-proxy:v1.36.2",
    "quay.io/mini/cni:1",
];
const LAYOUT: &str = "/usr/lib/nodeimg/images";

/// Puts an image whose second layer all share into a folder that stands in for its registry.
fn publish(registries: &Path, name: &str, content: &str) {
    registry::publish(registries, name, &|arch| {
        let layer = |bytes| ("application/vnd.oci.image.layer.v1.tar+gzip", bytes);
        registry::Image {
            config: json!({ "architecture": arch, "os": "linux" }),
            layers: vec![
                layer(format!("{name} {arch} {content}").into_bytes()),
                layer(vec![7; 200_000]),
            ],
        }
    });
}

/// A place whose virtual machine has the profile, and whose registries are folders.
fn place(name: &str) -> Place {
    let place = world().place(name);
    let registries = place.folder().join("registries");
    for name in NAMES {
        publish(&registries, name, "first");
    }
    fs::write(
        place.folder().join("profiles/offline.toml"),
        PROFILE.trim_start(),
    )
    .expect("a file");
    let cluster = place.folder().join("cluster.toml");
    let old = fs::read_to_string(&cluster).expect("a cluster");
    let new = old.replace("profile = \"vm\"", "profile = \"offline\"");
    fs::write(&cluster, new).expect("a cluster");
    let settings = place.folder().join("nodeimg.toml");
    let old = fs::read_to_string(&settings).expect("settings");
    let folder = |it: &str| {
        format!(
            "\"https://{it}\" = {:?}\n",
            registries.join(it).display().to_string()
        )
    };
    let mirrors = format!(
        "[mirrors]\n{}{}",
        folder("registry.k8s.io"),
        folder("quay.io")
    );
    fs::write(&settings, old.replace("[mirrors]\n", &mirrors)).expect("settings");
    place
}

fn shown(place: &Place, path: &str) -> Vec<u8> {
    run(place
        .nodeimg()
        .arg("show")
        .arg(format!("out/offline.raw{path}")))
    .stdout
}

#[test]
fn images_travel_as_an_oci_layout_of_what_was_locked() {
    let place = place("images");
    run(&mut place.build("offline", &["raw"]));
    let index: Value =
        serde_json::from_slice(&shown(&place, &format!(":{LAYOUT}/index.json"))).expect("JSON");
    let manifests = index["manifests"].as_array().expect("a list");
    let names: Vec<&str> = manifests
        .iter()
        .filter_map(|it| it["annotations"]["io.containerd.image.name"].as_str())
        .collect();
    assert_eq!(names, NAMES);
    let version: Value =
        serde_json::from_slice(&shown(&place, &format!(":{LAYOUT}/oci-layout"))).expect("JSON");
    assert_eq!(version["imageLayoutVersion"], "1.0.0");
    // Every blob is there under its digest, for this architecture.
    let blob = |it: &Value| {
        let digest = it["digest"]
            .as_str()
            .and_then(|it| it.strip_prefix("sha256:"))
            .expect("a digest");
        let bytes = shown(&place, &format!(":{LAYOUT}/blobs/sha256/{digest}"));
        assert_eq!(Digest::of(&bytes).to_string(), digest);
        assert_eq!(it["size"], bytes.len());
        bytes
    };
    for (name, descriptor) in NAMES.iter().zip(manifests) {
        let manifest: Value = serde_json::from_slice(&blob(descriptor)).expect("JSON");
        assert_eq!(
            blob(&manifest["layers"][0]),
            format!("{name} amd64 first").as_bytes()
        );
        assert_eq!(blob(&manifest["layers"][1]), vec![7; 200_000]);
        blob(&manifest["config"]);
    }
    let list = String::from_utf8(shown(&place, ":/usr/lib/nodeimg/images.list")).expect("UTF-8");
    assert!(
        list.lines()
            .map(|it| it.split(' ').nth(1).unwrap_or_default())
            .eq(NAMES),
        "{list}"
    );

    // People see which file is of which image, in the image and in the plan.
    let folder =
        String::from_utf8(shown(&place, &format!(":{LAYOUT}/blobs/sha256"))).expect("UTF-8");
    let plan = text(&run(place.nodeimg().args(["plan", "--profile", "offline"])));
    for name in NAMES {
        assert!(folder.contains(&format!("image {name}")), "{folder}");
        assert!(plan.contains(&format!(" from={name}\n")), "{plan}");
    }
    assert_eq!(
        folder.lines().count(),
        3 * 2 + 2,
        "what images share is there once: {folder}"
    );
    assert!(plan.contains("enable    nodeimg-images.service"), "{plan}");

    // The lock holds on to what the names stood for, without a network.
    let before = fs::read(place.out().join("offline.raw")).expect("an image");
    for name in NAMES {
        publish(&place.folder().join("registries"), name, "second");
    }
    fs::remove_dir_all(place.out()).expect("artifacts");
    place.take_from("/nowhere", &world().key());
    run(place.build("offline", &["raw"]).arg("--offline"));
    assert!(fs::read(place.out().join("offline.raw")).expect("an image") == before);
}

/// Builds, by profile and as part of a cluster, which is to be refused as the user's mistake.
fn refused(place: &Place) -> String {
    let mut fleet = place.nodeimg();
    fleet.args(["build", "--node", "vm01", "--format", "raw"]);
    let [told, by_cluster] = [place.build("offline", &["raw"]), fleet].map(|mut it| {
        let output = it.output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(!place.out().join("offline.raw").exists());
        told
    });
    let error = |it: &str| {
        it.lines()
            .rfind(|it| it.starts_with("error"))
            .map(str::to_owned)
    };
    assert_eq!(error(&told), error(&by_cluster));
    assert!(error(&told).is_some(), "{told}");
    told
}

#[test]
fn what_a_machine_needs_and_does_not_have_is_named() {
    let place = place("images-missing");
    let profile = place.folder().join("profiles/offline.toml");
    fs::write(&profile, PROFILE.replace("\"kubeadm\", ", "")).expect("a file");
    let told = refused(&place);
    for word in [
        "registry.k8s.io/pause:3.10.2 (kubeadm v1.36.2)",
        "registry.k8s.io/kube-proxy:v1.36.2 (kubeadm v1.36.2)",
    ] {
        assert!(told.contains(word), "{told}");
    }
    place.forget();

    // A cluster whose manifests want more: one beside its file, one from a server.
    fs::write(&profile, PROFILE).expect("a file");
    let cluster = place.folder().join("cluster.toml");
    let old = fs::read_to_string(&cluster).expect("a cluster");
    fs::write(
        place.folder().join("own.yaml"),
        "spec:\n  image: docker.io/own/thing:2\n",
    )
    .expect("a file");
    let far = world().mirror().join(HOST).join("far.yaml");
    let far_text = b"spec:\n  image: quay.io/mini/cni:1\n---\n  - image: far:3\n";
    fs::write(&far, far_text).expect("a file");
    let manifests = format!(
        "\n[[manifest]]\nname = \"own\"\nfile = \"own.yaml\"\n\n[[manifest]]\nname = \"far\"\nurl = \"http://{HOST}/far.yaml\"\nsha256 = \"{}\"\n",
        Digest::of(far_text)
    );
    fs::write(&cluster, old + &manifests).expect("a cluster");
    let told = refused(&place);
    assert!(
        told.contains(
            "need: docker.io/library/far:3 (manifest far); docker.io/own/thing:2 (manifest own)"
        ),
        "{told}"
    );
    assert!(!told.contains("Always"), "{told}");
    let knowing = format!("{PROFILE}without = [\"own/thing:2\", \"far:3\"]\n");
    fs::write(&profile, knowing).expect("a file");
    fs::remove_dir_all(place.folder().join("locks")).expect("a lock");
    let asking = "spec:\n  image: docker.io/own/thing:2\n  imagePullPolicy: Always\n";
    fs::write(place.folder().join("own.yaml"), asking).expect("a file");
    let told = run(&mut place.build("offline", &["raw"])).stderr;
    let told = String::from_utf8_lossy(&told);
    assert!(
        told.contains("manifest own says `imagePullPolicy: Always`"),
        "{told}"
    );
}
