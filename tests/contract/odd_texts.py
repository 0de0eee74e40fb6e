"""Texts of which a kubelet takes some: sizes, sets of CPUs, thresholds, sysctls, options."""

from node_files.versions import rules

SIZES = (
    "10Mi", "10M", "10m", "1k", "1K", "1Ki", "0.5", "0.5k", "1.5k", "1.5Ki", "0.5Ki", "1.0",
    "1.0Ki", "1e3", "1E3", "1e-1", "10e-1", "1E", "1Ei", "8Ei", "7Ei", "9223372036854775807",
    "9223372036854775808", "0", "0Ki", "-1", "+1", "10MB", " 10Mi", "10 Mi", "1e20", "0x10",
    ".5k", "5.", "1n", "1000n", "1000000000n", "1000m", "1500m", "1000000u", "1e400", "1e-400",
    "00010", "1_0", "1,000", "", "10%",
)  # fmt: skip
CPUS = (
    "0", "0-3", "0,2", "0-3,8", "3-1", "1-1", "0,0", "0-2,1", "a", "-1", "1-", "-", ",", "0,",
    ",0", " 0", "0 ", "0, 1", "0 - 1", "1--2", "0-1-2", "0x1", "+1", "00", "01-03", "1.0", "0;1",
    "63", "0-63",
)  # fmt: skip
THRESHOLDS = (
    "100Mi", "0", "0%", "100%", "100.5%", "101%", "-1%", "-1", "+1%", "+5Mi", "5", "5.5%", ".5%",
    "5.%", "%", "", "5 %", " 5%", "1e1%", "1e3", "1Ei", "inf%", "NaN%", "0x10%", "1_0%", "00%",
    "1m", "0.1", "5%%", "1e-50%", "Inf%", "99.99999999%", "100.0%", "100.00000001%",
)  # fmt: skip
GRACES = (
    "0s", "1m", "-1s", "", "5", "0", "1h30m", "x", "1ns",
)  # fmt: skip
AMOUNTS = (
    "0", "500m", "1", "1.5", "-1", "1Gi", "x", "", "1e3", "1e-3", "0.0001", "-0", "+1", " 1",
    "1 Gi", "10%", "9223372036854775807", "1e19", "1e400",
)  # fmt: skip
OPTION_NAMES = (
    "full-pcpus-only", "distribute-cpus-across-numa", "align-by-socket",
    "distribute-cpus-across-cores", "strict-cpu-reservation", "prefer-align-cpus-by-uncorecache",
    "prefer-closest-numa-nodes", "max-allowable-numa-nodes", "x", "",
)  # fmt: skip
OPTION_VALUES = (
    "true", "False", "1", "T", "yes", "", "2", "8", "7", "+8", "08", "0x8", "-8", "8.0", "64",
    " 8",
)  # fmt: skip
SYSCTLS = (
    "net.core.somaxconn", "net/core/somaxconn", "net.ipv4.*", "net*", "net.*", "net.", "*", "",
    ".", "kernel.*", "kernel.shm*", "kernel.shm_next_id", "kernel.msgmax", "kernel.sem",
    "kernel.sem*", "kernel.se*", "fs.mqueue.", "fs.mqueue.*", "fs.mqueue.msg_max", "fs.file-max",
    "fs.*", "vm.max_map_count", "user.max_x", "user.*", "kernel.domainname", "kernel.hostname",
    "NET.core.x", "net..core", "net.core.", "net.core.-x", "net core",
    "net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding", "net.*.x", "net.**",
    "net.core.x_", "net.core.x-", "-net.core.x", "net.core.som*xconn", "kernel/shm*",
    "kernel/sem", "net.core.*x", "net.*/x", "kernel.shmmni*", "kernel.shm_rmid_forced",
    "net." + "a" * 249, "net." + "a" * 250,
)  # fmt: skip
SIGNALS = (*rules.EVICTION_SIGNALS, "memory.Available", "cpu.available", "", "nodefs.inodesfree")
PATHS = (
    "/var/log/pods", "var/log", "/a/../b", "/a//b", "/./a", "/é", "/a b", "/..", "//",
)  # fmt: skip
VERSIONS = (
    "1.36", "1.37", "1.35", "1.3", "v1.36", "1.36.0", "1.038",
)  # fmt: skip
SHARES = (
    "50%", "0%", "100%", "101%", "50", "", "-1%", "1.5%", "50 %", "x%", "50%%",
)  # fmt: skip
POD_SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies", "net/x", "vm.x", "net.*", "", "NET",
)  # fmt: skip
IMAGES = (
    "nginx", "docker.io/library/nginx", "localhost/a", "a.b:1/c/d", "nginx:1", "*", "/*", "a/*",
    "a*", "", "a/b*", "http://a", "a@b", " a", "A", "a/B",
)  # fmt: skip
ENDPOINTS = (
    "", "localhost:4317", "dn%2s://localhost:4317", "http://a b", "a:b", "unix:///a",
    "dns://[::1]:1", "x://a", "a,b", "a=b:1", "[::1]:4317",
)  # fmt: skip
