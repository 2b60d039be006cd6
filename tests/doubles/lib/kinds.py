"""Part of the nodeimg TEST DOUBLES: the fields of the objects that nodeimg renders or its tests apply, for the API server's double, which is
to refuse what the real one's strict server-side apply refuses. Other kinds pass.

What the names mean: schema.py, `walk`. Where they are from: Calico v3.32.1 (charts/crd.projectcalico.org.v1 for operator.tigera.io, api/config/crd
for projectcalico.org/v3), MetalLB v0.16.1 (config/crd/bases), Kubernetes 1.36's reference for v1 and networking.k8s.io/v1. Parts that
nodeimg writes nothing into are `object` or `list` only."""

import re

from schema import Invalid, walk

METADATA = {
    "name!": "string", "generateName": "string", "namespace": "string", "labels": {"*": "string"}, "annotations": {"*": "string"},
    "finalizers": ["string"], "ownerReferences": "list", "uid": "string", "resourceVersion": "string", "generation": "integer",
    "creationTimestamp": "any", "managedFields": "list",
}
SWITCH = "Enabled|Disabled"
SELECTOR = {"matchLabels": {"*": "string"}, "matchExpressions": [{"key!": "string", "operator!": "string", "values": ["string"]}]}
RESOURCES = {"claims": "list", "limits": {"*": "quantity"}, "requests": {"*": "quantity"}}
TOLERATIONS = [{"key": "string", "operator": "string", "value": "string", "effect": "string", "tolerationSeconds": "integer"}]
SECRET_KEY = {"secretKeyRef": {"key!": "string", "name": "string", "optional": "bool"}}

DETECTION = {"canReach": "string", "cidrs": ["string"], "firstFound": "bool", "interface": "string", "kubernetes": "NodeInternalIP|",
             "skipInterface": "string"}
INSTALLATION = {
    **{it: "object" for it in """azure calicoKubeControllersDeployment calicoNodeDaemonSet calicoNodeWindowsDaemonSet calicoWindowsUpgradeDaemonSet
       certificateManagement csiNodeDriverDaemonSet logging nodeUpdateStrategy typhaAffinity typhaDeployment windowsNodes""".split()},
    **{it: "string" for it in "flexVolumePath imagePath imagePrefix kubeletVolumePluginPath nonPrivileged registry".split()},
    **{it: "integer" for it in "controlPlaneReplicas nodeMetricsPort typhaMetricsPort".split()},
    "calicoNetwork": {
        "bgp": SWITCH, "bpfNetworkBootstrap": SWITCH, "clusterRoutingMode": "BIRD|Felix", "containerIPForwarding": SWITCH, "hostPorts": SWITCH,
        "ipPools": [{
            "allowedUses": ["string"], "assignmentMode": "string", "blockSize": "integer", "cidr!": "string", "disableBGPExport": "bool",
            "disableNewAllocations": "bool", "encapsulation": "IPIPCrossSubnet|IPIP|VXLAN|VXLANCrossSubnet|None", "name": "string",
            "natOutgoing": SWITCH, "nodeSelector": "string",
        }],
        "kubeProxyManagement": SWITCH, "linuxDataplane": "Iptables|BPF|VPP|Nftables", "linuxPolicySetupTimeoutSeconds": "integer",
        "mtu": "integer", "multiInterfaceMode": "None|Multus", "nodeAddressAutodetectionV4": DETECTION, "nodeAddressAutodetectionV6": DETECTION,
        "sysctl": [{"key!": "string", "value!": "string"}], "windowsDataplane": "HNS|Disabled",
    },
    "cni": {"binDir": "string", "confDir": "string", "ipam": {"type!": "Calico|HostLocal|AmazonVPC|AzureVNET"},
            "type!": "Calico|GKE|AmazonVPC|AzureVNET"},
    "componentResources": [{"componentName!": "string", "resourceRequirements!": RESOURCES}],
    "controlPlaneNodeSelector": {"*": "string"}, "controlPlaneTolerations": TOLERATIONS, "fipsMode": SWITCH, "imagePullSecrets": [{"name": "string"}],
    "kubernetesProvider": "|EKS|GKE|AKS|OpenShift|DockerEnterprise|RKE2|TKG|Kind",
    "proxy": {"httpProxy": "string", "httpsProxy": "string", "noProxy": "string"}, "serviceCIDRs": ["string"],
    "tlsCipherSuites": [{"name": "string"}], "variant": "Calico|TigeraSecureEnterprise",
}
API_SERVER = {"apiServerDeployment": "object", "calicoWebhooksDeployment": "object", "logging": "object"}

BGP_CONFIGURATION = {
    "asNumber": "integer", "bindMode": "None|NodeIP", "communities": [{"name": "string", "value": "string"}], "ignoredInterfaces": ["string"],
    "ipv4NormalRoutePriority": "integer", "ipv6NormalRoutePriority": "integer", "listenPort": "integer", "localWorkloadPeeringIPV4": "string",
    "localWorkloadPeeringIPV6": "string", "logSeverityScreen": "string", "nodeMeshMaxRestartTime": "string", "nodeMeshPassword": SECRET_KEY,
    "nodeToNodeMeshEnabled": "bool", "prefixAdvertisements": [{"cidr": "string", "communities": ["string"]}], "programClusterRoutes": SWITCH,
    "serviceClusterIPs": [{"cidr": "string"}], "serviceExternalIPs": [{"cidr": "string"}], "serviceLoadBalancerAggregation": SWITCH,
    "serviceLoadBalancerIPs": [{"cidr": "string"}],
}
CALICO_PEER = {
    **{it: "string" for it in """keepaliveTime localWorkloadSelector maxRestartTime node nodeSelector peerIP peerSelector reachableBy
       reversePeering""".split()},
    **{it: "integer" for it in "asNumber localASNumber numAllowedLocalASNumbers ttlSecurity".split()},
    "filters": ["string"], "keepOriginalNextHop": "bool", "nextHopMode": "Auto|Self|Keep", "password": SECRET_KEY, "sourceAddress": "UseNodeIP|None",
}
IP_POOL = {
    "allowedUses": ["Workload|Tunnel|LoadBalancer"], "assignmentMode": "Automatic|Manual", "blockSize": "integer", "cidr!": "string",
    "disableBGPExport": "bool", "disabled": "bool", "ipipMode": "Never|Always|CrossSubnet", "namespaceSelector": "string", "natOutgoing": "bool",
    "nodeSelector": "string", "vxlanMode": "Never|Always|CrossSubnet",
}

METALLB_POOL = {
    "addresses!": ["string"], "autoAssign": "bool", "avoidBuggyIPs": "bool",
    "serviceAllocation": {"namespaceSelectors": [SELECTOR], "namespaces": ["string"], "priority": "integer", "serviceSelectors": [SELECTOR]},
}
METALLB_PEER = {
    **{it: "string" for it in """bfdProfile connectTime holdTime interface keepaliveTime password peerAddress routerID sourceAddress vrf""".split()},
    **{it: "bool" for it in "disableMP dualStackAddressFamily ebgpMultiHop enableGracefulRestart".split()},
    "dynamicASN": "internal|external", "myASN!": "integer", "nodeSelectors": [SELECTOR], "passwordSecret": {"name": "string", "namespace": "string"},
    "peerASN": "integer", "peerPort": "integer",
}
ADVERTISEMENT = {"ipAddressPoolSelectors": [SELECTOR], "ipAddressPools": ["string"], "nodeSelectors": [SELECTOR]}
BGP_ADVERTISEMENT = {**ADVERTISEMENT, "aggregationLength": "integer", "aggregationLengthV6": "integer", "communities": ["string"],
                     "localPref": "integer", "peers": ["string"]}

CAPABILITIES = {"add": ["string"], "drop": ["string"]}
CONTAINER = {
    **{it: "string" for it in "name! image workingDir terminationMessagePath restartPolicy".split()},
    **{it: "object" for it in "lifecycle livenessProbe readinessProbe startupProbe".split()},
    **{it: "bool" for it in "stdin stdinOnce tty".split()},
    **{it: "list" for it in "envFrom resizePolicy restartPolicyRules volumeDevices".split()},
    "imagePullPolicy": "Always|IfNotPresent|Never", "terminationMessagePolicy": "File|FallbackToLogsOnError", "command": ["string"], "args": ["string"],
    "ports": [{"containerPort!": "integer", "hostIP": "string", "hostPort": "integer", "name": "string", "protocol": "TCP|UDP|SCTP"}],
    "env": [{"name!": "string", "value": "string", "valueFrom": {
        "fieldRef": {"fieldPath!": "string", "apiVersion": "string"}, "resourceFieldRef": "object", "configMapKeyRef": "object",
        "secretKeyRef": "object", "fileKeyRef": "object"}}],
    "resources": RESOURCES,
    "volumeMounts": [{"name!": "string", "mountPath!": "string", "readOnly": "bool", "recursiveReadOnly": "string", "subPath": "string",
                      "subPathExpr": "string", "mountPropagation": "string"}],
    "securityContext": {
        "capabilities": CAPABILITIES, "privileged": "bool", "allowPrivilegeEscalation": "bool", "readOnlyRootFilesystem": "bool",
        "runAsNonRoot": "bool", "runAsUser": "integer", "runAsGroup": "integer", "procMount": "string", "seLinuxOptions": "object",
        "seccompProfile": "object", "appArmorProfile": "object", "windowsOptions": "object"},
}
VOLUME = {
    "name!": "string", "hostPath": {"path!": "string", "type": "|DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice"},
    **{it: "object" for it in """configMap csi downwardAPI emptyDir ephemeral fc flexVolume image iscsi nfs persistentVolumeClaim projected
       secret""".split()},
}
POD = {
    "containers!": [CONTAINER], "initContainers": [CONTAINER], "ephemeralContainers": "list", "volumes": [VOLUME], "tolerations": TOLERATIONS,
    "hostAliases": [{"ip!": "string", "hostnames": ["string"]}], "imagePullSecrets": [{"name": "string"}], "nodeSelector": {"*": "string"},
    "restartPolicy": "Always|OnFailure|Never", "dnsPolicy": "ClusterFirst|ClusterFirstWithHostNet|Default|None",
    **{it: "bool" for it in """automountServiceAccountToken enableServiceLinks hostIPC hostNetwork hostPID hostUsers setHostnameAsFQDN
       shareProcessNamespace""".split()},
    **{it: "string" for it in """hostname hostnameOverride nodeName preemptionPolicy priorityClassName runtimeClassName schedulerName
       serviceAccount serviceAccountName subdomain""".split()},
    **{it: "integer" for it in "activeDeadlineSeconds priority terminationGracePeriodSeconds".split()},
    **{it: "object" for it in "affinity dnsConfig os overhead resources securityContext workloadRef".split()},
    **{it: "list" for it in "readinessGates resourceClaims schedulingGates topologySpreadConstraints".split()},
}
PORTS = [{"port": "quantity", "endPort": "integer", "protocol": "TCP|UDP|SCTP"}]
PEERS = [{"podSelector": SELECTOR, "namespaceSelector": SELECTOR, "ipBlock": {"cidr!": "string", "except": ["string"]}}]
POLICY = {"podSelector": SELECTOR, "policyTypes": ["Ingress|Egress"], "ingress": [{"from": PEERS, "ports": PORTS}],
          "egress": [{"to": PEERS, "ports": PORTS}]}

# What stands beside apiVersion, kind, metadata and status.
KINDS = {
    ("operator.tigera.io/v1", "Installation"): {"spec": INSTALLATION},
    ("operator.tigera.io/v1", "APIServer"): {"spec": API_SERVER},
    ("projectcalico.org/v3", "BGPConfiguration"): {"spec!": BGP_CONFIGURATION},
    ("projectcalico.org/v3", "BGPPeer"): {"spec!": CALICO_PEER},
    ("projectcalico.org/v3", "IPPool"): {"spec!": IP_POOL},
    ("crd.projectcalico.org/v1", "BGPConfiguration"): {"spec": BGP_CONFIGURATION},
    ("crd.projectcalico.org/v1", "BGPPeer"): {"spec": CALICO_PEER},
    ("crd.projectcalico.org/v1", "IPPool"): {"spec": IP_POOL},
    ("metallb.io/v1beta1", "IPAddressPool"): {"spec!": METALLB_POOL},
    ("metallb.io/v1beta1", "L2Advertisement"): {"spec": {**ADVERTISEMENT, "interfaces": ["string"]}},
    ("metallb.io/v1beta1", "BGPAdvertisement"): {"spec": BGP_ADVERTISEMENT},
    ("metallb.io/v1beta2", "BGPPeer"): {"spec": METALLB_PEER},
    ("v1", "Pod"): {"spec!": POD},
    ("v1", "ConfigMap"): {"data": {"*": "string"}, "binaryData": {"*": "string"}, "immutable": "bool"},
    ("v1", "Namespace"): {"spec": {"finalizers": ["string"]}},
    ("networking.k8s.io/v1", "NetworkPolicy"): {"spec": POLICY},
}
NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"


def check(document):
    """Raises Invalid unless the object is one of its kind, as far as the kind is known here."""
    if not isinstance(document, dict) or not all(isinstance(document.get(it), str) for it in ("apiVersion", "kind")):
        raise Invalid(f"an object without apiVersion and kind: {document!r}")
    which = (document["apiVersion"], document["kind"])
    if which not in KINDS:
        return
    walk(document.get("metadata"), METADATA, f"{which[1]}.metadata")
    name = document["metadata"]["name"]
    if not re.fullmatch(NAME, name):
        raise Invalid(f"{which[1]} {name!r}: metadata.name: not a name of Kubernetes")
    walk(document, {"apiVersion": "string", "kind": "string", "metadata": "object", "status": "object", **KINDS[which]}, f"{which[1]} {name}")
