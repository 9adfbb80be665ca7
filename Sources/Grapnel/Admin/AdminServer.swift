// AdminServer: the listener for operators and scrapers, apart from the deliveries: health, readiness, metrics.
//
// On SwiftNIO: it is off the way of a delivery, and its own event-loop thread keeps it answering while the loops are busy or
// blocked on a disk. GET and HEAD only; bodies are refused; idle connections are closed.

internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// One answer of the admin listener.
struct AdminAnswer: Sendable {
    var status: HTTPResponseStatus
    var contentType = "text/plain; charset=utf-8"
    var body: String
}

/// A running admin listener.
final class AdminServer: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let channels: [any Channel]

    /// The ports that were bound, in the order of the addresses.
    var ports: [Int] { channels.compactMap { $0.localAddress?.port } }

    /// Binds and serves until `stop`. `answer` is called for each GET with the path, on the admin thread.
    static func start(
        on addresses: [(host: String, port: Int)], answer: @escaping @Sendable (String) -> AdminAnswer
    ) throws -> AdminServer {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var channels: [any Channel] = []
        do {
            for address in addresses {
                let bootstrap = ServerBootstrap(group: group)
                    .serverChannelOption(.backlog, value: 64)
                    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                            try channel.pipeline.syncOperations.addHandlers([
                                IdleStateHandler(readTimeout: .seconds(60)), AdminHandler(answer: answer),
                            ])
                        }
                    }
                channels.append(try bootstrap.bind(host: address.host, port: address.port).wait())
            }
        } catch {
            try? group.syncShutdownGracefully()
            throw error
        }
        return AdminServer(group: group, channels: channels)
    }

    private init(group: MultiThreadedEventLoopGroup, channels: [any Channel]) {
        self.group = group
        self.channels = channels
    }

    func stop() {
        for channel in channels { try? channel.close().wait() }
        try? group.syncShutdownGracefully()
    }
}

/// One connection of the admin listener.
private final class AdminHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @Sendable (String) -> AdminAnswer
    private var head: HTTPRequestHead?

    init(answer: @escaping @Sendable (String) -> AdminAnswer) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break  // dropped; no endpoint takes one
        case .end:
            guard let head else { return }
            self.head = nil
            respond(context, to: head)
        }
    }

    private func respond(_ context: ChannelHandlerContext, to head: HTTPRequestHead) {
        let path = String(head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).first ?? "")
        var headers = HTTPHeaders()
        let result: AdminAnswer
        if head.method == .GET || head.method == .HEAD {
            result = answer(path)
        } else {
            result = AdminAnswer(status: .methodNotAllowed, body: "GET only\n")
            headers.add(name: "Allow", value: "GET, HEAD")
        }
        headers.add(name: "Content-Type", value: result.contentType)
        headers.add(name: "Content-Length", value: String(result.body.utf8.count))
        headers.add(name: "X-Content-Type-Options", value: "nosniff")
        headers.add(name: "Cache-Control", value: "no-store")
        if !head.isKeepAlive { headers.add(name: "Connection", value: "close") }
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: result.status, headers: headers))),
            promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: result.body)))), promise: nil)
        }
        let promise = head.isKeepAlive ? nil : context.eventLoop.makePromise(of: Void.self)
        let channel = context.channel
        promise?.futureResult.whenComplete { _ in channel.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
