//! The switch from the doubles of Kubernetes' programs to the real ones: `NODEIMG_TEST_KUBERNETES`, see `world`.

use crate::world::{Repository, folder, world};

#[test]
fn a_repository_of_ones_own_is_where_kubernetes_comes_from() {
    let world = world();
    // The stand-ins' own repository, as a folder.
    let place = world.mirror.join("pkgs.k8s.io");
    let key = world.key("kubernetes");
    let lock = |name: &str, text: String| {
        let folder = folder(name);
        let repository = Repository::parse(&text);
        let own = (&*world.cache, world.port);
        let mut command = world.nodeimg_of(&folder, own, Some(&repository));
        let output = command
            .args(["plan", "--profile", "worker-amd64"])
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let lock = std::fs::read_to_string(folder.join("locks/worker-amd64.lock"));
        (output.status.code(), told, lock.unwrap_or_default())
    };
    let signed = format!("{}#{}", place.display(), key.display());
    let (code, told, locked) = lock("kubernetes", signed);
    assert_eq!(code, Some(0), "{told}");
    assert!(locked.contains("kubeadm"), "{locked}");
    // Not Kubernetes' own key: so this repository it was, and it is held to that key.
    let (code, told, _) = lock("kubernetes-unsigned", place.display().to_string());
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("kubernetes"), "{told}");
    // And there is no other way.
    let (code, told, _) = lock(
        "kubernetes-nowhere",
        format!("/nonexistent#{}", key.display()),
    );
    assert_ne!(code, Some(0), "{told}");
    assert!(told.contains("/nonexistent"), "{told}");
}
