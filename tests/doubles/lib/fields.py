"""Part of the nodeimg TEST DOUBLE of kubeadm: the fields of the v1beta4 kinds, as a schema for schema.py.
What a dict, a list and a string stand for is in schema.py, `walk`."""

ARGS = [{"name": "string", "value": "string"}]
ENVS = [{"name": "string", "value": "string", "valueFrom": "any"}]
VOLUMES = [{"name": "string", "hostPath": "path", "mountPath": "path", "readOnly": "bool", "pathType": "string"}]
COMPONENT = {"extraArgs": ARGS, "extraEnvs": ENVS, "extraVolumes": VOLUMES}
TIMEOUTS = {name: "duration" for name in (
    "controlPlaneComponentHealthCheck kubeletHealthCheck kubernetesAPICall etcdAPICall tlsBootstrap discovery upgradeManifests").split()}
ENDPOINT = {"advertiseAddress": "address", "bindPort": "port"}
REGISTRATION = {
    "name": "hostname", "criSocket": "socket", "taints": [{"key": "string", "value": "string", "effect": "string", "timeAdded": "any"}],
    "kubeletExtraArgs": ARGS, "ignorePreflightErrors": ["string"], "imagePullPolicy": "string", "imagePullSerial": "bool",
}
PATCHES = {"directory": "path"}

INIT = {
    "bootstrapTokens": [{"token": "token", "description": "string", "ttl": "duration", "expires": "any", "usages": ["string"], "groups": ["string"]}],
    "dryRun": "bool", "nodeRegistration": REGISTRATION, "localAPIEndpoint": ENDPOINT, "certificateKey": "string",
    "skipPhases": ["string"], "patches": PATCHES, "timeouts": TIMEOUTS,
}
CLUSTER = {
    "etcd": {
        "local": {"imageRepository": "string", "imageTag": "string", "dataDir": "path", "extraArgs": ARGS, "extraEnvs": ENVS,
                  "serverCertSANs": ["string"], "peerCertSANs": ["string"]},
        "external": {"endpoints": ["string"], "httpEndpoints": ["string"], "caFile": "path", "certFile": "path", "keyFile": "path"},
    },
    "networking": {"serviceSubnet": "cidrs", "podSubnet": "cidrs", "dnsDomain": "string"},
    "kubernetesVersion": "version", "controlPlaneEndpoint": "hostport",
    "apiServer": {**COMPONENT, "certSANs": ["string"]}, "controllerManager": COMPONENT, "scheduler": COMPONENT,
    "dns": {"imageRepository": "string", "imageTag": "string", "disabled": "bool"}, "proxy": {"disabled": "bool"},
    "certificatesDir": "path", "imageRepository": "string", "featureGates": "bools", "clusterName": "string",
    "encryptionAlgorithm": "string", "certificateValidityPeriod": "duration", "caCertificateValidityPeriod": "duration",
}
JOIN = {
    "dryRun": "bool", "nodeRegistration": REGISTRATION, "caCertPath": "path",
    "discovery": {
        "bootstrapToken": {"token": "token", "apiServerEndpoint": "hostport", "caCertHashes": ["pin"], "unsafeSkipCAVerification": "bool"},
        "file": {"kubeConfigPath": "path"}, "tlsBootstrapToken": "token",
    },
    "controlPlane": {"localAPIEndpoint": ENDPOINT, "certificateKey": "string"},
    "skipPhases": ["string"], "patches": PATCHES, "timeouts": TIMEOUTS,
}
RESET = {
    "cleanupTmpDir": "bool", "certificatesDir": "path", "criSocket": "socket", "dryRun": "bool", "force": "bool",
    "ignorePreflightErrors": ["string"], "skipPhases": ["string"], "unmountFlags": ["string"], "timeouts": TIMEOUTS,
}

_KUBELET = """enableServer staticPodPath podLogsDir syncFrequency fileCheckFrequency httpCheckFrequency staticPodURL staticPodURLHeader address
port readOnlyPort tlsCertFile tlsPrivateKeyFile tlsCipherSuites tlsMinVersion tlsCurvePreferences rotateCertificates serverTLSBootstrap
authentication authorization registryPullQPS registryBurst imagePullCredentialsVerificationPolicy preloadedImagesVerificationAllowlist
eventRecordQPS eventBurst enableDebuggingHandlers enableContentionProfiling healthzPort healthzBindAddress oomScoreAdj clusterDomain clusterDNS
streamingConnectionIdleTimeout nodeStatusUpdateFrequency nodeStatusReportFrequency nodeLeaseDurationSeconds imageMinimumGCAge imageMaximumGCAge
imageGCHighThresholdPercent imageGCLowThresholdPercent volumeStatsAggPeriod kubeletCgroups systemCgroups cgroupRoot cgroupsPerQOS cgroupDriver
cpuManagerPolicy singleProcessOOMKill cpuManagerPolicyOptions cpuManagerReconcilePeriod memoryManagerPolicy topologyManagerPolicy
topologyManagerScope topologyManagerPolicyOptions qosReserved runtimeRequestTimeout hairpinMode maxPods podCIDR podPidsLimit resolvConf runOnce
cpuCFSQuota cpuCFSQuotaPeriod nodeStatusMaxImages maxOpenFiles contentType kubeAPIQPS kubeAPIBurst serializeImagePulls maxParallelImagePulls
evictionHard evictionSoft evictionSoftGracePeriod evictionPressureTransitionPeriod evictionMaxPodGracePeriod evictionMinimumReclaim
mergeDefaultEvictionSettings podsPerCore enableControllerAttachDetach protectKernelDefaults makeIPTablesUtilChains iptablesMasqueradeBit
iptablesDropBit featureGates failSwapOn memorySwap containerLogMaxSize containerLogMaxFiles containerLogMaxWorkers containerLogMonitorInterval
configMapAndSecretChangeDetectionStrategy systemReserved kubeReserved reservedSystemCPUs showHiddenMetricsForVersion systemReservedCgroup
kubeReservedCgroup enforceNodeAllocatable allowedUnsafeSysctls volumePluginDir providerID kernelMemcgNotification logging enableSystemLogHandler
enableSystemLogQuery shutdownGracePeriod shutdownGracePeriodCriticalPods shutdownGracePeriodByPodPriority crashLoopBackOff reservedMemory
enableProfilingHandler enableDebugFlagsHandler seccompDefault memoryThrottlingFactor registerWithTaints registerNode tracing localStorageCapacityIsolation
containerRuntimeEndpoint imageServiceEndpoint failCgroupV1 userNamespaces"""
KUBELET = {name: "any" for name in _KUBELET.split()}

_PROXY = """featureGates clientConnection logging hostnameOverride bindAddress healthzBindAddress metricsBindAddress bindAddressHardFail
enableProfiling showHiddenMetricsForVersion mode iptables ipvs nftables winkernel detectLocalMode detectLocal clusterCIDR nodePortAddresses
oomScoreAdj conntrack configSyncPeriod portRange windowsRunAsService"""
PROXY = {name: "any" for name in _PROXY.split()}

KINDS = {
    ("kubeadm.k8s.io/v1beta4", "InitConfiguration"): INIT,
    ("kubeadm.k8s.io/v1beta4", "ClusterConfiguration"): CLUSTER,
    ("kubeadm.k8s.io/v1beta4", "JoinConfiguration"): JOIN,
    ("kubeadm.k8s.io/v1beta4", "ResetConfiguration"): RESET,
    ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"): KUBELET,
    ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"): PROXY,
}
