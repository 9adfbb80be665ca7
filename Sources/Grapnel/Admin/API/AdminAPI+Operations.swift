// What the API changes: redeliveries, pauses. Bodies are JSON objects; a member that is not known is refused, so that a misspelt
// `dryRun` does not act.

internal import CLinuxIO
internal import Delivery
internal import Journal
internal import NIOHTTP1
internal import Trigger

extension AdminAPI {
    // MARK: - One delivery

    /// `{}`: all of it, as the route says now. `{"target": "GitRepository/team-a/webapp"}`: the entries of its plan with that target.
    func redeliver(_ text: String, _ request: AdminRequest) -> AdminAnswer {
        guard let sequence = Self.sequence(text) else { return Self.unknownDelivery(text) }
        guard let body = Self.object(request, ["target", "dryRun"]) else {
            return Self.badBody("a JSON object with nothing else than target and dryRun")
        }
        let target = body["target"]
        guard target == nil || target?.text.map({ !$0.isEmpty }) == true,
            body["dryRun"] == nil || body["dryRun"]?.boolean != nil
        else { return Self.badBody("target is a text as in the delivery's plan, dryRun true or false") }
        do throws(JournalError) {
            guard case .found(let delivery, let lastSegment) = try search(sequence) else {
                return Self.unknownDelivery(text)
            }
            if let refusal = Self.refusal(of: delivery) { return refusal.answer }
            let entries = entries(delivery, lastSegment, target?.text)
            if body["dryRun"]?.boolean == true {
                switch entries {
                case .success: return .json(["dryRun": true, "sequence": .number("\(sequence)"), "redelivered": .null])
                case .failure(let refusal): return refusal.answer
                }
            }
            switch entries.flatMap({ parts.redeliver(sequence, $0) }) {
            case .success(let new):
                return .json(
                    ["dryRun": false, "sequence": .number("\(sequence)"), "redelivered": .number("\(new)")],
                    status: .accepted)
            case .failure(let refusal): return refusal.answer
            }
        } catch {
            return Self.unreadable(error)
        }
    }

    static func refusal(of delivery: IndexedDelivery) -> RedeliveryRefusal? {
        if delivery.decision == .duplicate {
            return RedeliveryRefusal(
                status: .conflict, code: "body-not-kept",
                message:
                    "delivery \(delivery.sequence) repeats \(delivery.reference), which has the body: redeliver that")
        }
        if delivery.state == .owed || delivery.state == .failed {
            return RedeliveryRefusal(
                status: .conflict, code: "still-owed",
                message: "delivery \(delivery.sequence) is not final: its actions are still carried out or tried again")
        }
        return nil
    }

    /// What of the recorded plan is meant; nil: everything, as the route says now.
    private func entries(
        _ delivery: IndexedDelivery, _ lastSegment: UInt64, _ target: String?
    ) -> Result<[PlanEntry]?, RedeliveryRefusal> {
        guard let target else { return .success(nil) }
        let plan = (try? DeliveryHistory(of: delivery, lastSegment: lastSegment, journal: parts.history))?.plan ?? []
        let entries = plan.filter { DeliveryHistory.action($0).target == target }
        guard !entries.isEmpty else {
            return .failure(
                RedeliveryRefusal(
                    status: .conflict, code: "target-unknown",
                    message: "the plan of delivery \(delivery.sequence) has no such target; "
                        + "GET \(Self.prefix)/deliveries/\(delivery.sequence) shows its plan"))
        }
        return .success(entries)
    }

    // MARK: - Many

    func redeliverMany(_ request: AdminRequest) -> AdminAnswer {
        let known: Set<String> = ["filter", "rate", "limit", "dryRun", "target"]
        guard let body = Self.object(request, known), let given = body["filter"]?.members, !given.isEmpty else {
            return Self.badBody(
                "a JSON object with filter, and if wanted rate, limit, dryRun and target; filter names at least one member"
            )
        }
        guard given.allSatisfy({ DeliveryFilter.names.contains($0.name) && $0.value.text != nil }) else {
            return Self.badBody(
                "filter has the list's parameters as texts: \(DeliveryFilter.names.sorted().joined(separator: ", "))")
        }
        let rate = Self.integer(body["rate"], default: 10, RedeliveryJobs.ratesPerSecond)
        let limit = Self.integer(body["limit"], default: 1000, 1...RedeliveryJobs.deliveriesMax)
        guard let rate, let limit, body["dryRun"] == nil || body["dryRun"]?.boolean != nil,
            body["target"] == nil || body["target"]?.text.map({ !$0.isEmpty }) == true
        else {
            return Self.badBody(
                "rate is 1 to 1000 a second, limit 1 to \(RedeliveryJobs.deliveriesMax), dryRun true or false, target a text"
            )
        }
        do throws(DeliveryFilter.Problem) {
            let filter = try DeliveryFilter(
                given.map { ($0.name, $0.value.text ?? "") }, now: cl_now_realtime())
            return begin(filter, rate, limit, body["dryRun"]?.boolean ?? false, body["target"]?.text)
        } catch {
            return Self.badParameter(error.message)
        }
    }

    private func begin(
        _ filter: DeliveryFilter, _ rate: Int, _ limit: Int, _ isDry: Bool, _ target: String?
    ) -> AdminAnswer {
        var sequences: [UInt64] = []
        var cursor: PageCursor?
        var left = (duplicates: 0, owed: 0)
        let deadline = cl_now_monotonic() + 20 * 1_000_000_000
        var isComplete = false
        do throws(JournalError) {
            while sequences.count < limit, cl_now_monotonic() < deadline {
                let page = try select(
                    filter, before: cursor, limit: min(1000, limit - sequences.count),
                    deadline: cl_now_monotonic() + Self.workNanoseconds)
                for delivery in page.deliveries {
                    switch Self.refusal(of: delivery)?.code {
                    case nil: sequences.append(delivery.sequence)
                    case "still-owed": left.owed += 1
                    default: left.duplicates += 1
                    }
                }
                cursor = page.next
                if cursor == nil {
                    isComplete = true
                    break
                }
            }
        } catch {
            return Self.unreadable(error)
        }
        let selection: JSONValue = [
            "dryRun": .bool(isDry), "count": .number("\(sequences.count)"), "isComplete": .bool(isComplete),
            "skippedDuplicates": .number("\(left.duplicates)"), "skippedOwed": .number("\(left.owed)"),
            "sequences": .array(sequences.prefix(1000).map { .number("\($0)") }),
        ]
        guard !isDry else { return .json(["selection": selection, "redelivery": .null]) }
        // Oldest first, as they came.
        let job = jobs.begin(sequences.reversed(), rate: rate, target: target) { [self] sequence in
            guard let target else { return .success(nil) }
            guard case .found(let delivery, let lastSegment)? = try? search(sequence) else {
                return .failure(
                    RedeliveryRefusal(status: .notFound, code: "delivery-unknown", message: "it is gone meanwhile"))
            }
            return entries(delivery, lastSegment, target)
        }
        guard let job else {
            return .problem(
                .conflict, "redelivery-running",
                "another redelivery runs; GET \(Self.prefix)/redeliveries shows how far it is")
        }
        return .json(["selection": selection, "redelivery": job.json], status: .accepted)
    }

    // MARK: - Pauses

    func pause(_ request: AdminRequest, _ isPaused: Bool) -> AdminAnswer {
        guard let body = Self.object(request, ["route", "namespace", "target", "cluster"]),
            let subject = PauseSubject(body)
        else {
            return Self.badBody(
                "one of {\"route\": \"Hook/team-a/webapp\"}, {\"namespace\": \"team-a\"}, {\"target\": \"…\"}, and if wanted \"cluster\""
            )
        }
        switch pauses.change(subject, isPaused: isPaused) {
        case .done(let isNew):
            return .json([
                "changed": .bool(isNew), "subject": subject.json,
                "paused": .array(PauseBook.sorted(pauses.all).map(\.json)),
            ])
        case .full:
            return .problem(
                .conflict, "too-many-paused",
                "\(PauseBook.subjectsMax) subjects are paused; resume some, or pause a namespace")
        case .failed(let trouble):
            return .problem(
                .internalServerError, "not-kept", "it could not be written down, so nothing was changed: \(trouble)")
        }
    }

    // MARK: - Bodies

    /// nil: no JSON object, or one with members that are not known or repeated. No body is an empty object.
    private static func object(_ request: AdminRequest, _ known: Set<String>) -> JSONValue? {
        guard !request.body.isEmpty else { return .object([]) }
        guard let value = JSONValue(request.body), let members = value.members,
            members.allSatisfy({ known.contains($0.name) }), Set(members.map(\.name)).count == members.count
        else { return nil }
        return value
    }

    private static func badBody(_ wanted: String) -> AdminAnswer {
        .problem(.badRequest, "body-wrong", "the body is \(wanted)")
    }

    private static func integer(_ value: JSONValue?, default fallback: Int, _ range: ClosedRange<Int>) -> Int? {
        guard let value else { return fallback }
        guard case .number(let text) = value, let number = Int(text), range.contains(number) else { return nil }
        return number
    }
}
