// AvailableCores: the cores this process may use: what the scheduler lets it run on, and what its control group may spend.
//
// cgroup v2: `cpu.max` is "QUOTA PERIOD" or "max PERIOD"; v1: cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us. The tightest
// quota on the way up to the root counts (Documentation/admin-guide/cgroup-v2.rst, scheduler/sched-bwc.rst).

enum AvailableCores {
    /// At least 1. A quota of 1.9 cores is 1: a loop that is throttled half of the time delays all its connections.
    static func count() -> Int {
        let allowed = affinity()
        let quota = quota(
            membership: text(of: "/proc/self/cgroup") ?? "", read: { text(of: "/sys/fs/cgroup" + $0) })
        return max(1, min(allowed, quota.map { Int($0) } ?? allowed))
    }

    /// Cores that the tightest quota allows, or nil without one. `membership` is /proc/self/cgroup; `read` gives a file below
    /// the mount point of the control groups.
    static func quota(membership: String, read: (String) -> String?) -> Double? {
        var tightest: Double?
        func consider(_ quota: Double?) {
            if let quota { tightest = min(tightest ?? quota, quota) }
        }
        for line in membership.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3 else { continue }
            if parts[0] == "0", parts[1].isEmpty {
                for group in groups(parts[2]) { consider(read(group + "/cpu.max").flatMap(unified)) }
            } else if parts[1].split(separator: ",").contains("cpu") {
                // The controller is mounted under its own name, or under that of the set.
                for mount in ["/cpu", "/" + parts[1]] {
                    for group in groups(parts[2]) {
                        consider(
                            legacy(
                                quota: read(mount + group + "/cpu.cfs_quota_us"),
                                period: read(mount + group + "/cpu.cfs_period_us")))
                    }
                }
            }
        }
        return tightest
    }

    /// `/a/b`, `/a` and the root, which is the empty text.
    private static func groups(_ path: String) -> [String] {
        var groups: [String] = []
        var rest = path[...]
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        while !rest.isEmpty, groups.count < 64 {
            groups.append(String(rest))
            rest = rest[..<(rest.lastIndex(of: "/") ?? rest.startIndex)]
        }
        return groups + [""]
    }

    private static func unified(_ text: String) -> Double? {
        let parts = text.split { $0 == " " || $0 == "\n" }
        guard parts.count == 2, let quota = Double(parts[0]), let period = Double(parts[1]), period > 0 else {
            return nil
        }
        return quota / period
    }

    private static func legacy(quota: String?, period: String?) -> Double? {
        guard let quota = quota.flatMap({ Double($0.prefix { $0 != "\n" }) }), quota > 0,
            let period = period.flatMap({ Double($0.prefix { $0 != "\n" }) }), period > 0
        else { return nil }
        return quota / period
    }

    /// Cores in a list such as `0-3,8`, the form of `Cpus_allowed_list` in /proc/self/status (proc(5)).
    static func cores(inList list: some StringProtocol) -> Int {
        list.split(separator: ",").reduce(0) { total, part in
            let bounds = part.split(separator: "-").compactMap { Int($0) }
            guard let first = bounds.first, let last = bounds.last, last >= first else { return total }
            return total + last - first + 1
        }
    }

    /// 1 when the kernel does not say.
    private static func affinity() -> Int {
        let key = "Cpus_allowed_list:"
        let line = text(of: "/proc/self/status")?.split(separator: "\n").first { $0.hasPrefix(key) }
        return max(1, cores(inList: line?.dropFirst(key.count).filter { !$0.isWhitespace } ?? ""))
    }

    private static func text(of path: String) -> String? {
        guard case .success(let bytes) = SmallFile.read(path, bytesMax: 64 << 10) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
