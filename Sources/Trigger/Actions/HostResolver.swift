// HostResolver: addresses of a host name, by getaddrinfo (3), on threads of its own: it blocks and cannot be stopped.

import Delivery
import Foundation
import Glibc
import Synchronization

/// Resolves names. Safe to use from any task; who is cancelled gets an empty list at once.
final class HostResolver: Sendable {
    /// Empty: the name leads nowhere, or could not be asked for.
    typealias Resolve = @Sendable (_ host: String) async -> [IPAddress]

    static let shared = HostResolver()

    /// Names that are asked for at once; a resolver that does not answer must not gather threads.
    private static let runningMax = 64

    private let running = Mutex(0)

    /// In the order in which they should be tried (RFC 6724).
    func addresses(of host: String) async -> [IPAddress] {
        let mayRun = running.withLock { count in
            if count >= Self.runningMax { return false }
            count += 1
            return true
        }
        guard mayRun else { return [] }
        let answer = Answer()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                answer.wait(continuation)
                Thread {
                    let found = Self.lookUp(host)
                    self.running.withLock { $0 -= 1 }
                    answer.give(found)
                }.start()
            }
        } onCancel: {
            answer.give([])
        }
    }

    /// The first answer counts.
    private final class Answer: Sendable {
        private enum State {
            case open
            case awaited(CheckedContinuation<[IPAddress], Never>)
            case given([IPAddress])
            case taken
        }

        private let state = Mutex(State.open)

        func wait(_ continuation: CheckedContinuation<[IPAddress], Never>) {
            let early = state.withLock { state -> [IPAddress]? in
                if case .given(let found) = state {
                    state = .taken
                    return found
                }
                state = .awaited(continuation)
                return nil
            }
            if let early { continuation.resume(returning: early) }
        }

        func give(_ found: [IPAddress]) {
            let continuation = state.withLock { state -> CheckedContinuation<[IPAddress], Never>? in
                switch state {
                case .awaited(let continuation):
                    state = .taken
                    return continuation
                case .open:
                    state = .given(found)
                    return nil
                case .given, .taken: return nil
                }
            }
            continuation?.resume(returning: found)
        }
    }

    private static func lookUp(_ host: String) -> [IPAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var found: [IPAddress] = []
        var next = unsafe list
        // Sound: the list ends with nil, and each entry's address has the size of its family.
        while let entry = unsafe next {
            if let bytes = unsafe bytes(entry.pointee), let address = IPAddress(bytes), !found.contains(address) {
                found.append(address)
            }
            unsafe next = entry.pointee.ai_next
        }
        return found
    }

    private static func bytes(_ entry: addrinfo) -> [UInt8]? {
        guard let address = unsafe UnsafeRawPointer(entry.ai_addr) else { return nil }
        switch unsafe entry.ai_family {
        case AF_INET:
            return unsafe withUnsafeBytes(of: address.loadUnaligned(as: sockaddr_in.self).sin_addr) { unsafe Array($0) }
        case AF_INET6:
            return unsafe withUnsafeBytes(of: address.loadUnaligned(as: sockaddr_in6.self).sin6_addr) {
                unsafe Array($0)
            }
        default: return nil
        }
    }
}
