// EventClient: one listener to events. Bytes leave through `send`, on the connection's own thread.

internal import Delivery
internal import Synchronization

final class EventClient: Sendable {
    static let pendingBytesMax = 1 << 20

    /// Bytes, whether they are the last, and who is to be told when they were taken.
    typealias Send = @Sendable ([UInt8], Bool, @escaping @Sendable (Int) -> Void) -> Void

    let filter: DeliveryFilter
    /// Where an earlier connection of it ended; nil: it begins now.
    let after: EventPlace?
    private let sendBytes: Send
    private let pending = Atomic<Int>(0)
    private let over = Atomic<Bool>(false)

    init(filter: DeliveryFilter, after: EventPlace? = nil, send: @escaping Send) {
        self.filter = filter
        self.after = after
        sendBytes = send
    }

    /// It gets nothing more.
    var isOver: Bool { over.load(ordering: .relaxed) }
    /// Bytes that are under way.
    var pendingBytes: Int { pending.load(ordering: .relaxed) }

    /// A client that is too slow is dropped.
    func offer(_ text: String) {
        guard !isOver else { return }
        let bytes = Array(text.utf8)
        guard pendingBytes + bytes.count <= Self.pendingBytesMax else { return drop() }
        pending.add(bytes.count, ordering: .relaxed)
        sendBytes(bytes, false) { [weak self] count in self?.pending.subtract(count, ordering: .relaxed) }
    }

    /// It does not keep up.
    func drop() { end(EventFeed.gap(.slowClient)) }

    func end(_ text: String) {
        guard !over.exchange(true, ordering: .relaxed) else { return }
        sendBytes(Array(text.utf8), true) { _ in }
    }
}
