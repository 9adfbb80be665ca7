// Lists, single deliveries, events: what the API reads from the journal.

internal import CLinuxIO
internal import Delivery
internal import Journal
internal import NIOHTTP1

extension AdminAPI {
    static let limitMax = 200
    private static let limitDefault = 50

    /// `only`: in the place of the filter's outcomes.
    func list(_ request: AdminRequest, only outcome: DeliveryFilter.OutcomeWord? = nil) -> AdminAnswer {
        var filter: DeliveryFilter
        do throws(DeliveryFilter.Problem) {
            filter = try DeliveryFilter(request.query, now: cl_now_realtime())
        } catch {
            return Self.badParameter(error.message)
        }
        if let outcome {
            guard filter.outcomes.isEmpty else {
                return Self.badParameter(
                    "outcome has no meaning here: these are the dead ones; use \(Self.prefix)/deliveries")
            }
            filter.outcomes = [outcome]
        }
        var limit = Self.limitDefault
        if let text = request.query.first(where: { $0.name == "limit" })?.value {
            guard let value = Int(text), (1...Self.limitMax).contains(value) else {
                return Self.badParameter("limit is 1 to \(Self.limitMax)")
            }
            limit = value
        }
        var cursor: PageCursor?
        if let text = request.query.first(where: { $0.name == "cursor" })?.value {
            guard let value = PageCursor(text) else {
                return Self.badParameter(
                    "cursor is the `next` of an earlier answer, as it stands there; begin without one")
            }
            cursor = value
        }
        let deadline = cl_now_monotonic() + Self.workNanoseconds
        do throws(JournalError) {
            let page = try select(filter, before: cursor, limit: limit, deadline: deadline)
            let rowDeadline = cl_now_monotonic() + Self.workNanoseconds
            return .json([
                "deliveries": .array(
                    page.deliveries.map { report.row($0, of: index.route($0), deadline: rowDeadline) }),
                "next": page.next.map { .string($0.text) } ?? .null,
                "examined": .number("\(page.examined)"),
            ])
        } catch {
            return Self.unreadable(error)
        }
    }

    func select(
        _ filter: DeliveryFilter, before cursor: PageCursor?, limit: Int, deadline: UInt64
    ) throws(JournalError) -> DeliveryIndex.Page {
        try index.page(filter, before: cursor, limit: limit, deadline: deadline) { isMeant($0, by: filter) }
    }

    /// By what its record alone tells.
    func isMeant(_ delivery: IndexedDelivery, by filter: DeliveryFilter) -> Bool {
        // The index has compared a hash.
        if let id = filter.deliveryID, report.glance(delivery)?.texts?.deliveryID != id { return false }
        guard filter.readsBody else { return true }
        return report.event(delivery).map { filter.matches($0) } ?? false
    }

    func show(_ text: String, _ request: AdminRequest) -> AdminAnswer {
        let wantsBody = request.query.first { $0.name == "body" }?.value
        guard wantsBody == nil || wantsBody == "raw" else { return Self.badParameter("body is raw, or left out") }
        guard let sequence = Self.sequence(text) else { return Self.unknownDelivery(text) }
        do throws(JournalError) {
            guard case .found(let delivery, let lastSegment) = try search(sequence) else {
                return Self.unknownDelivery(text)
            }
            if wantsBody != nil { return try rawBody(delivery, text) }
            guard let json = try report.detail(delivery, lastSegment: lastSegment) else {
                return Self.unknownDelivery(text)
            }
            return .json(json)
        } catch {
            return Self.unreadable(error)
        }
    }

    /// Goes on until it is found or known not to be there: what was read is kept, so this ends.
    func search(_ sequence: UInt64) throws(JournalError) -> DeliveryIndex.Search {
        for _ in 0..<20 {
            let found = try index.find(sequence, deadline: cl_now_monotonic() + Self.workNanoseconds)
            if case .unfinished = found { continue }
            return found
        }
        return .unknown
    }

    private func rawBody(_ delivery: IndexedDelivery, _ text: String) throws(JournalError) -> AdminAnswer {
        guard let body = try report.body(delivery) else { return Self.unknownDelivery(text) }
        guard body.isKept else {
            return .problem(
                .conflict, "body-not-kept",
                "delivery \(delivery.sequence) is a duplicate of \(delivery.reference), which has the body")
        }
        // Never shown by a browser as a page of this origin.
        var answer = AdminAnswer(status: .ok, contentType: "application/octet-stream", bytes: body.bytes)
        answer.fields = [
            ("Content-Disposition", "attachment; filename=\"delivery-\(delivery.sequence).body\"")
        ]
        return answer
    }

    func events(_ request: AdminRequest) -> AdminReply {
        guard request.method == .GET else {
            return .answer(.problem(.methodNotAllowed, "method-not-allowed", "this path takes GET"))
        }
        var place: EventPlace?
        if let text = request.headers.first(name: "Last-Event-ID"), !text.isEmpty {
            guard let given = EventPlace(text) else {
                return .answer(
                    Self.badParameter(
                        "Last-Event-ID is the `id` of an event of this server, as it came; begin without one"))
            }
            place = given
        }
        do throws(DeliveryFilter.Problem) {
            return .events(try DeliveryFilter(request.query, now: cl_now_realtime()), after: place)
        } catch {
            return .answer(Self.badParameter(error.message))
        }
    }
}
