// HostChecks: limits of this process and what the kernel allows: open files, memory, io_uring, the clock.
//
// Source: getrlimit(2), Documentation/admin-guide/cgroup-v2.rst (memory.max), io_uring_setup(2), adjtimex(2).

import CLinuxIO
import Catalog
import EventLoop
import Foundation
import Glibc

struct HostChecks {
    let settings: ServerSettings

    /// What a server has open beside connections: segments, listeners, calls to the API server.
    private static let otherFiles = 256
    /// What a server takes beside bodies.
    private static let otherBytes = 128 << 20

    func run() -> [Finding] {
        [openFiles(), memory()] + ring() + [clock()]
    }

    private func openFiles() -> Finding {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return .note("open files", "the limit cannot be read")
        }
        return Self.openFiles(hard: UInt64(limit.rlim_max), connections: settings.connectionsMax)
    }

    static func openFiles(hard: UInt64, connections: Int) -> Finding {
        let needed = UInt64(connections + otherFiles)
        let text = "at most \(hard == UInt64.max ? "unlimited" : String(hard)), --max-connections \(connections)"
        return hard < needed
            ? .fail(
                "open files", text,
                "raise the limit to \(needed) (LimitNOFILE= of systemd, ulimit -Hn), or lower --max-connections")
            : .ok("open files", text)
    }

    private func memory() -> Finding {
        let membership = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
        let limit = Self.memoryLimit(membership) { try? String(contentsOfFile: "/sys/fs/cgroup" + $0, encoding: .utf8) }
        return Self.memory(limit: limit, bodies: settings.bodyMemoryBytesMax)
    }

    static func memory(limit: UInt64?, bodies: Int) -> Finding {
        guard let limit else { return .ok("memory", "no limit; --body-memory \(Quantity.text(bytes: bodies))") }
        let text = "at most \(limit >> 20) MiB, --body-memory \(Quantity.text(bytes: bodies))"
        let remedy = "raise the limit to \((bodies + otherBytes) >> 20) MiB, or lower --body-memory"
        if limit < UInt64(bodies) { return .fail("memory", text, remedy) }
        return limit < UInt64(bodies + otherBytes) ? .warn("memory", text, remedy) : .ok("memory", text)
    }

    /// The tightest limit on the way up to the root; nil without one.
    static func memoryLimit(_ membership: String, read: (String) -> String?) -> UInt64? {
        var limits: [UInt64] = []
        for line in membership.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isV2 = fields[0] == "0"
            guard isV2 || fields[1].split(separator: ",").contains("memory") else { continue }
            let (root, file) = isV2 ? ("", "memory.max") : ("/memory", "memory.limit_in_bytes")
            var path = fields[2] == "/" ? "" : String(fields[2])
            while true {
                if let value = read("\(root)\(path)/\(file)").flatMap({
                    UInt64($0.trimmingCharacters(in: .whitespacesAndNewlines))
                }),
                    value < 1 << 60
                {
                    limits.append(value)
                }
                guard let slash = path.lastIndex(of: "/") else { break }
                path = String(path[..<slash])
            }
        }
        return limits.min()
    }

    private func ring() -> [Finding] {
        guard settings.io == .uring else { return [] }
        let code = Bounded.call { () -> Int32 in
            var code: Int32 = 0
            return PollerRing(capacity: 64, error: &code) == nil ? code : 0
        }
        guard let code else { return [Bounded.hung("io_uring", "use --io epoll")] }
        guard code != 0 else { return [.ok("io_uring", "the kernel allows it")] }
        return [
            .warn(
                "io_uring", "the kernel refuses it: \(SmallFile.text(of: -code)); the server falls back to epoll",
                "use --io epoll, or allow it (sysctl kernel.io_uring_disabled, the seccomp profile of the container)")
        ]
    }

    private func clock() -> Finding {
        let state = cl_clock_is_synchronised()
        return state < 0
            ? .note("clock", "adjtimex: \(SmallFile.text(of: -state))") : Self.clock(isSynchronised: state == 1)
    }

    static func clock(isSynchronised: Bool) -> Finding {
        isSynchronised
            ? .ok("clock", "synchronised")
            : .warn(
                "clock", "the kernel says that it is not synchronised",
                "run chrony or systemd-timesyncd on this host: signatures with timestamps and ID tokens are refused when it is wrong"
            )
    }
}
