// WatchClients: the connections of watches, apart from those of single calls.
//
// Over HTTP/2 a pool of async-http-client is one connection, and a request beyond the streams that the server allows on it
// waits without end. So watches are spread: a pool takes `countMax` of them, then a further one is opened. A pool in which
// a watch fell silent may be a connection whose other end is gone; it is retired: nothing new goes there, and it is
// closed with its last watch. Keep-alive probes find such an end within a minute even where nothing is retired.

import AsyncHTTPClient
import NIOCore
import Synchronization

final class WatchClients: Sendable {
    private struct Pool {
        var client: HTTPClient
        var count = 0
        var isRetired = false
    }
    private struct State {
        var pools: [ObjectIdentifier: Pool] = [:]
        var isShutDown = false
    }

    /// One watch's share of a pool, given back with the last reference to it.
    final class Lease: Sendable {
        let client: HTTPClient
        private let owner: WatchClients

        fileprivate init(client: HTTPClient, owner: WatchClients) {
            self.client = client
            self.owner = owner
        }

        deinit { owner.giveBack(client) }

        /// Keeps further watches off this pool.
        func retirePool() { owner.retire(client) }
    }

    private let configuration: HTTPClient.Configuration
    private let countMax: Int
    private let state = Mutex(State())

    init(_ configuration: HTTPClient.Configuration, countMax: Int) {
        self.configuration = configuration
        self.countMax = max(1, countMax)
    }

    /// A share of a pool with room; nil after `shutdown`.
    func lease() -> Lease? {
        state.withLock { state in
            if state.isShutDown { return nil }
            let key: ObjectIdentifier
            if let free = state.pools.first(where: { !$0.value.isRetired && $0.value.count < countMax })?.key {
                key = free
            } else {
                let client = HTTPClient(
                    eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
                key = ObjectIdentifier(client)
                state.pools[key] = Pool(client: client)
            }
            state.pools[key]?.count += 1
            return state.pools[key].map { Lease(client: $0.client, owner: self) }
        }
    }

    /// Pools that are open; for tests.
    var poolCount: Int { state.withLock { $0.pools.count } }

    private func giveBack(_ client: HTTPClient) {
        let key = ObjectIdentifier(client)
        let isLast = state.withLock { state in
            state.pools[key]?.count -= 1
            guard let pool = state.pools[key], pool.count == 0 else { return false }
            // An empty pool beside another one is not needed either.
            guard pool.isRetired || state.pools.count > 1 else { return false }
            state.pools[key] = nil
            return true
        }
        if isLast { client.shutdown { _ in } }
    }

    private func retire(_ client: HTTPClient) {
        state.withLock { state in state.pools[ObjectIdentifier(client)]?.isRetired = true }
    }

    /// Ends all watches; those that are begun later fail.
    func shutdown() async {
        let clients = close()
        for client in clients { try? await client.shutdown() }
    }

    private func close() -> [HTTPClient] {
        state.withLock { state in
            defer {
                state.isShutDown = true
                state.pools = [:]
            }
            return state.pools.values.map(\.client)
        }
    }

    deinit { for client in close() { client.shutdown { _ in } } }
}

extension KubernetesClient {
    /// Of single calls, but for HTTP/2 where the server offers it, no bound on silence, and probes of idle connections.
    static func watchConfiguration(
        _ calls: HTTPClient.Configuration, _ settings: Settings
    ) -> HTTPClient.Configuration {
        var configuration = calls
        configuration.httpVersion = .automatic
        configuration.timeout.read = nil
        configuration.timeout.connect = .seconds(Int64(settings.watchHeadSeconds))
        // One connection for each watch where the server speaks HTTP/1.1 only.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = settings.watchesPerPool
        configuration.http1_1ConnectionDebugInitializer = { probe($0) }
        configuration.http2ConnectionDebugInitializer = { probe($0) }
        return configuration
    }

    /// tcp(7): after 30 s of silence a probe every 10 s, three of them. A channel that is no TCP socket goes without.
    private static func probe(_ channel: any Channel) -> EventLoopFuture<Void> {
        // SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT.
        let options: [(NIOBSDSocket.OptionLevel, CInt, Int)] = [
            (.socket, 9, 1), (.tcp, 4, 30), (.tcp, 5, 10), (.tcp, 6, 3),
        ]
        let set = options.map { level, name, value in
            channel.setOption(
                ChannelOptions.Types.SocketOption(level: level, name: NIOBSDSocket.Option(rawValue: name)),
                value: value)
        }
        return EventLoopFuture.andAllComplete(set, on: channel.eventLoop)
    }
}
