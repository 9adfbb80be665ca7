// RuledRequest: a request whose receiver has rules of its own, between its ruling and its answer. And how a head becomes the plain
// values that rules read.

internal import Delivery
internal import HTTP

/// Where the parts of a request lie, relative to its first byte. Finds the credentials that a ruling names.
struct RequestPlaces: Sendable {
    var path = ByteRange.empty
    var query = ByteRange.empty
    /// By field index.
    var values: [ByteRange] = []
}

extension InboundRequest {
    /// The head as values; the body is left out.
    init(_ head: RequestHead, _ view: HeadView) {
        func text(_ range: ByteRange) -> String { unsafe String(decoding: view.bytes(range), as: UTF8.self) }
        unsafe self.init(
            method: text(head.methodRange), path: text(head.path), query: head.hasQuery ? text(head.query) : nil,
            fields: (0..<view.fields.count).map { index in
                let field = unsafe view.fields[index]
                return Field(name: text(field.name), value: text(field.value))
            })
    }
}

extension RequestPlaces {
    init(_ head: RequestHead, _ view: HeadView) {
        unsafe self.init(
            path: head.path, query: head.query,
            values: (0..<view.fields.count).map { unsafe view.fields[$0].value })
    }

    /// Overwrites `credentials` with `*`. `base` is the request's first byte, the body begins at `bodyOffset` and has `bodyBytes`.
    func mask(_ credentials: [CredentialPlace], base: UnsafeMutableRawPointer, body: UnsafeMutableRawBufferPointer) {
        func overwrite(_ range: Range<Int>, of part: ByteRange) {
            let bounded = range.clamped(to: 0..<Int(part.count))
            for offset in bounded {
                unsafe base.storeBytes(of: 0x2a, toByteOffset: Int(part.offset) + offset, as: UInt8.self)
            }
        }
        for place in credentials {
            switch place {
            case .field(let index):
                if values.indices.contains(index) { overwrite(0..<Int(values[index].count), of: values[index]) }
            case .fieldPart(let index, let range):
                if values.indices.contains(index) { overwrite(range, of: values[index]) }
            case .path(let range): overwrite(range, of: path)
            case .query(let range): overwrite(range, of: query)
            case .body(let range):
                for offset in range.clamped(to: 0..<body.count) { unsafe body[offset] = 0x2a }
            }
        }
    }
}

/// What one of several siblings makes of a request.
struct SiblingRuling: Sendable {
    var route: Int
    var ruling: Ruling
}

/// A ruling and the texts that the journal reads until the record is durable. Belongs to one loop.
@safe
final class RuledRequest {
    let ruling: Ruling
    /// What the receiver's siblings in other clusters made of the request, where they take it too.
    let siblings: [(route: Int, ruling: RuledRequest)]
    // Allocated in init, freed in deinit: delivery id, then event name.
    private let texts: UnsafeMutableRawBufferPointer
    private let idBytes: Int

    init(_ ruling: Ruling, siblings: [SiblingRuling] = []) {
        self.ruling = ruling
        self.siblings = siblings.map { ($0.route, RuledRequest($0.ruling)) }
        let id = Array((ruling.deliveryID ?? "").utf8)
        let event = Array(ruling.eventName.utf8)
        unsafe texts = .allocate(byteCount: max(1, id.count + event.count), alignment: 1)
        unsafe texts.copyBytes(from: id + event)
        idBytes = id.count
        eventBytes = event.count
    }

    private let eventBytes: Int

    deinit { unsafe texts.deallocate() }

    /// As long as this object lives.
    var deliveryID: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(texts)[0..<idBytes])
    }
    var eventName: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(texts)[idBytes..<idBytes + eventBytes])
    }
}
