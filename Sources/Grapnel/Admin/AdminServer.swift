// AdminServer: the listener for operators and scrapers, apart from the deliveries: health, readiness, metrics, the API.
//
// On SwiftNIO: it is off the way of a delivery, and its own event-loop thread keeps it answering while the loops are busy or
// blocked on a disk. What reads the journal runs on threads of its own, so that /healthz never waits for a disk. Everything is bounded:
// connections, requests (`AdminConnection`), listeners of events (`EventHub`).

internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// A running admin listener.
final class AdminServer: Sendable {
    /// Connections at once, of all addresses together; further ones are closed unheard.
    static let connectionsMax = 256
    /// Threads for what reads the journal.
    private static let workThreads = 2

    private let group: MultiThreadedEventLoopGroup
    private let workers: NIOThreadPool
    private let channels: [any Channel]

    /// The ports that were bound, in the order of the addresses.
    var ports: [Int] { channels.compactMap { $0.localAddress?.port } }

    /// Binds and serves until `stop`.
    static func start(
        on listeners: [AdminListener], responder: any AdminResponder, hub: EventHub? = nil
    ) throws -> AdminServer {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let workers = NIOThreadPool(numberOfThreads: workThreads)
        workers.start()
        let open = ConnectionCount()
        var channels: [any Channel] = []
        do {
            for listener in listeners {
                let bootstrap = ServerBootstrap(group: group)
                    .serverChannelOption(.backlog, value: 64)
                    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .childChannelOption(
                        .writeBufferWaterMark, value: .init(low: 32 << 10, high: 64 << 10)
                    )
                    .childChannelInitializer { channel in
                        guard open.enter() else {
                            return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
                        }
                        channel.closeFuture.whenComplete { _ in open.leave() }
                        return channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                            try channel.pipeline.syncOperations.addHandler(
                                AdminConnection(
                                    listener: listener, responder: responder, workers: workers, hub: hub))
                        }
                    }
                let endpoint = listener.endpoint
                channels.append(try bootstrap.bind(host: endpoint.host, port: Int(endpoint.port)).wait())
            }
        } catch {
            try? workers.syncShutdownGracefully()
            try? group.syncShutdownGracefully()
            throw error
        }
        return AdminServer(group: group, workers: workers, channels: channels)
    }

    private init(group: MultiThreadedEventLoopGroup, workers: NIOThreadPool, channels: [any Channel]) {
        self.group = group
        self.workers = workers
        self.channels = channels
    }

    func stop() {
        for channel in channels { try? channel.close().wait() }
        try? workers.syncShutdownGracefully()
        try? group.syncShutdownGracefully()
    }
}

/// How many connections are open.
private final class ConnectionCount: Sendable {
    private let count = Atomic<Int>(0)

    func enter() -> Bool {
        guard count.add(1, ordering: .relaxed).newValue <= AdminServer.connectionsMax else {
            leave()
            return false
        }
        return true
    }

    func leave() { count.subtract(1, ordering: .relaxed) }
}
