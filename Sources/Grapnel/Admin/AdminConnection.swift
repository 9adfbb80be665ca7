// AdminConnection: one connection of the admin listener.
//
//   head, body … end ──> responder ──> answer | work on a thread ──> answer, kept open | events until one side ends
//
// A request has to be there as a whole within `requestSeconds` of the connection's begin or the last answer, and an answer has to be
// taken within `answerSeconds`: else the connection is closed. Bodies above `bodyBytesMax` are refused. While an answer is made,
// nothing further is read (NIO's pipelining handler), so a client has one request under way.

internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

final class AdminConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    static let bodyBytesMax = 64 << 10
    static let targetBytesMax = 8 << 10
    private static let requestSeconds: Int64 = 60
    private static let answerSeconds: Int64 = 30

    private let listener: AdminListener
    private let responder: any AdminResponder
    private let workers: NIOThreadPool
    private let hub: EventHub?
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var deadline: Scheduled<Void>?
    private var client: EventClient?

    init(listener: AdminListener, responder: any AdminResponder, workers: NIOThreadPool, hub: EventHub?) {
        self.listener = listener
        self.responder = responder
        self.workers = workers
        self.hub = hub
    }

    // MARK: - Requests

    func channelActive(context: ChannelHandlerContext) {
        setDeadline(context, Self.requestSeconds)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if let client { hub?.remove(client) }
        client = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            isTooLarge = false
        case .body(let buffer):
            guard !isTooLarge else { return }
            isTooLarge = body.count + buffer.readableBytes > Self.bodyBytesMax
            if isTooLarge { body = [] } else { body += buffer.readableBytesView }
        case .end:
            guard let head else { return }
            self.head = nil
            deadline?.cancel()
            deadline = nil
            respond(context, to: head)
        }
    }

    private func respond(_ context: ChannelHandlerContext, to head: HTTPRequestHead) {
        guard !isTooLarge else {
            let answer = AdminAnswer.problem(
                .payloadTooLarge, "body-too-large", "a request's body has at most \(Self.bodyBytesMax) bytes")
            return write(context, answer, to: head, closes: true)
        }
        guard head.uri.utf8.count <= Self.targetBytesMax,
            var request = AdminRequest(method: head.method, target: head.uri, headers: head.headers, body: body)
        else {
            let answer = AdminAnswer.problem(
                .badRequest, "target-malformed",
                "path and query are percent-encoded UTF-8 of at most \(Self.targetBytesMax) bytes")
            return write(context, answer, to: head, closes: false)
        }
        body = []
        request.listener = listener.role
        request.isOnLoopback = listener.endpoint.isLoopback
        switch responder.reply(to: request) {
        case .answer(let answer): write(context, answer, to: head, closes: false)
        case .work(let work):
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            workers.runIfActive(eventLoop: context.eventLoop, work).whenComplete { result in
                let (connection, context) = bound.value
                guard context.channel.isActive else { return }
                switch result {
                case .success(let answer): connection.write(context, answer, to: head, closes: false)
                case .failure: context.close(promise: nil)
                }
            }
        case .events(let filter, let place): beginEvents(context, head, filter, place)
        }
    }

    // MARK: - Answers

    private func write(
        _ context: ChannelHandlerContext, _ answer: AdminAnswer, to head: HTTPRequestHead, closes: Bool
    ) {
        let isLast = closes || !head.isKeepAlive
        var headers = Self.headers(answer.contentType)
        headers.add(name: "Content-Length", value: String(answer.bytes.count))
        for field in answer.fields { headers.add(name: field.name, value: field.value) }
        if isLast { headers.add(name: "Connection", value: "close") }
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers))),
            promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.bytes)))), promise: nil)
        }
        let promise = context.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        setDeadline(context, Self.answerSeconds)
        promise.futureResult.whenComplete { _ in
            let (connection, context) = bound.value
            if isLast {
                context.close(promise: nil)
            } else if context.channel.isActive {
                connection.setDeadline(context, Self.requestSeconds)
            }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
    }

    private static func headers(_ contentType: String) -> HTTPHeaders {
        [
            "Content-Type": contentType, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
        ]
    }

    private func setDeadline(_ context: ChannelHandlerContext, _ seconds: Int64) {
        deadline?.cancel()
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: .seconds(seconds)) { channel.close(promise: nil) }
    }

    // MARK: - Events

    private func beginEvents(
        _ context: ChannelHandlerContext, _ head: HTTPRequestHead, _ filter: DeliveryFilter, _ after: EventPlace?
    ) {
        guard let hub else {
            return write(
                context, .problem(.notFound, "not-found", "there are no events here"), to: head, closes: false)
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        let client = EventClient(filter: filter, after: after) { bytes, isLast, taken in
            eventLoop.execute {
                let (connection, context) = bound.value
                guard context.channel.isActive else { return }
                connection.send(context, bytes, isLast: isLast, taken)
            }
        }
        guard let place = hub.add(client) else {
            var answer = AdminAnswer.problem(
                .tooManyRequests, "too-many-listeners",
                "\(EventHub.clientsMax) clients listen to events already; end one of them")
            answer.fields = [("Retry-After", "5")]
            return write(context, answer, to: head, closes: false)
        }
        self.client = client
        var headers = Self.headers("text/event-stream")
        headers.add(name: "Connection", value: "close")
        // To HTTP/1.0 without chunks: the end of the connection ends it.
        let version: HTTPVersion = head.version.major == 1 && head.version.minor == 0 ? .http1_0 : .http1_1
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: version, status: .ok, headers: headers))), promise: nil)
        let begin = ": grapnel\nretry: 2000\nid: \(place.text)\n\n"
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: begin)))), promise: nil)
    }

    private func send(
        _ context: ChannelHandlerContext, _ bytes: [UInt8], isLast: Bool, _ taken: @escaping @Sendable (Int) -> Void
    ) {
        let promise = context.eventLoop.makePromise(of: Void.self)
        let count = bytes.count
        promise.futureResult.whenComplete { _ in taken(count) }
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: promise)
        guard isLast else { return }
        // What is still in the socket's buffer may go out, for a while.
        setDeadline(context, Self.answerSeconds)
        let end = context.eventLoop.makePromise(of: Void.self)
        let channel = context.channel
        end.futureResult.whenComplete { _ in channel.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: end)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
