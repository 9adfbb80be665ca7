// PinnedClients: HTTP clients that connect to one address each, whatever the name in the URL leads to by now.
//
// The address was checked before; the client never resolves the name again (async-http-client, `dnsOverride`). The Host field, the
// server name of TLS and the name in the certificate stay those of the URL. Clients are kept, since each has connections and a TLS
// context of its own; beyond the limit the one that was idle for longest goes.
//
// Threads: any. A client that is in use is never shut down before `shutdown`.

import AsyncHTTPClient
import Delivery
import Synchronization

final class PinnedClients: Sendable {
    struct Place: Hashable, Sendable {
        /// As the URL has it, without brackets.
        var host: String
        var address: IPAddress
    }

    private struct Held {
        let client: HTTPClient
        var users = 0
        /// Counts uses.
        var lastUse: UInt64 = 0
    }

    private struct State {
        var held: [Place: Held] = [:]
        var uses: UInt64 = 0
    }

    /// Clients that are kept beside those in use.
    static let idleMax = 64

    private let configuration: HTTPClient.Configuration
    private let state = Mutex(State())

    init(_ configuration: HTTPClient.Configuration) { self.configuration = configuration }

    deinit { shutdown() }

    /// A client whose connections for `place.host` go to `place.address`. To be given back.
    func take(_ place: Place) -> HTTPClient {
        let (client, evicted) = state.withLock { state -> (HTTPClient, [HTTPClient]) in
            state.uses += 1
            var held = state.held[place] ?? Held(client: make(place))
            held.users += 1
            held.lastUse = state.uses
            state.held[place] = held
            return (held.client, Self.evict(&state))
        }
        for client in evicted { client.shutdown { _ in } }
        return client
    }

    func giveBack(_ place: Place) {
        state.withLock { $0.held[place]?.users -= 1 }
    }

    func shutdown() {
        let all = state.withLock { state in
            defer { state.held = [:] }
            return state.held.values.map(\.client)
        }
        for client in all { client.shutdown { _ in } }
    }

    var count: Int { state.withLock { $0.held.count } }

    private func make(_ place: Place) -> HTTPClient {
        var configuration = configuration
        configuration.dnsOverride = [place.host: place.address.description]
        return HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
    }

    private static func evict(_ state: inout State) -> [HTTPClient] {
        let idle = state.held.filter { $0.value.users == 0 }
        guard idle.count > idleMax, let oldest = idle.min(by: { $0.value.lastUse < $1.value.lastUse }) else {
            return []
        }
        state.held[oldest.key] = nil
        return [oldest.value.client]
    }
}
