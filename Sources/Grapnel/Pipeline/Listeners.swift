// Listeners: the sockets of all loops. Each loop has its own with SO_REUSEPORT; the kernel spreads connections over them.

internal import CLinuxIO
internal import Glibc

enum Listeners {
    private static let backlog: Int32 = 4096

    /// Opens `loops` sockets per address; result by loop. A port that another process holds is found out first: with SO_REUSEPORT the
    /// kernel would let us share it.
    static func open(
        _ endpoints: [Endpoint], loops: Int, flag: String = "--listen"
    ) throws(CommandFailure) -> [[Int32]] {
        var byLoop = [[Int32]](repeating: [], count: loops)
        for endpoint in endpoints {
            let first = unsafe cl_listen(endpoint.host, endpoint.port, 0, backlog)
            guard first >= 0 else { throw failure(endpoint, -first, flag) }
            guard loops > 1 else {
                byLoop[0].append(first)
                continue
            }
            let port = UInt16(cl_local_port(first))
            _ = cl_close(first)
            for loop in 0..<loops {
                let descriptor = unsafe cl_listen(endpoint.host, port, 1, backlog)
                guard descriptor >= 0 else { throw failure(endpoint, -descriptor, flag) }
                byLoop[loop].append(descriptor)
            }
        }
        return byLoop
    }

    private static func failure(_ endpoint: Endpoint, _ code: Int32, _ flag: String) -> CommandFailure {
        switch code {
        case EADDRINUSE:
            .environment(
                "cannot listen on \(endpoint): the port is taken. Stop what uses it, or choose another with \(flag).")
        case EACCES:
            .environment(
                "cannot listen on \(endpoint): not permitted. Ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one with \(flag)."
            )
        case EADDRNOTAVAIL:
            .environment("cannot listen on \(endpoint): this machine has no such address. Correct \(flag).")
        default:
            .environment("cannot listen on \(endpoint): \(unsafe String(cString: strerror(code))). Correct \(flag).")
        }
    }
}
