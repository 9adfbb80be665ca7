// Redeliveries as the API takes them: one, or all that a filter means.

internal import CLinuxIO
internal import Delivery
internal import Journal
internal import NIOHTTP1

extension AdminAPI {
    var chooser: RedeliveryChooser {
        RedeliveryChooser(index: index, routes: parts.routes, history: parts.history)
    }

    // MARK: - One delivery

    func redeliver(_ text: String, _ request: AdminRequest) -> AdminAnswer {
        guard let sequence = Self.sequence(text) else { return Self.unknownDelivery(text) }
        guard let body = Self.object(request, RedeliveryWish.names.union(["dryRun"])), let wish = RedeliveryWish(body),
            body["dryRun"] == nil || body["dryRun"]?.boolean != nil
        else {
            return Self.badBody(
                "a JSON object with nothing else than target, planIndex, to and dryRun: \(RedeliveryWish.form); "
                    + "dryRun is true or false")
        }
        let choice: Result<RedeliveryTurn, RedeliveryRefusal>
        do throws(JournalError) {
            guard case .found(let delivery, let lastSegment) = try search(sequence) else {
                return Self.unknownDelivery(text)
            }
            choice = chooser.act(wish, on: delivery, lastSegment: lastSegment).map { Self.turn($0, of: delivery) }
        } catch {
            return Self.unreadable(error)
        }
        let isDry = body["dryRun"]?.boolean == true
        switch choice.flatMap({ turn in isDry ? .success(0) : jobs.carryOut(sequence, turn) }) {
        case .success(let new):
            return .json(
                [
                    "dryRun": .bool(isDry), "sequence": .number("\(sequence)"),
                    "redelivered": isDry ? .null : .number("\(new)"),
                ], status: isDry ? .ok : .accepted)
        case .failure(let refusal): return refusal.answer
        }
    }

    // MARK: - Many

    func redeliverMany(_ request: AdminRequest) -> AdminAnswer {
        let known = RedeliveryWish.names.union(["filter", "rate", "limit", "dryRun", "again"])
        guard let body = Self.object(request, known), let given = body["filter"]?.members, !given.isEmpty else {
            return Self.badBody(
                "a JSON object with filter, and if wanted rate, limit, dryRun, again, target, planIndex and to; filter names at "
                    + "least one member")
        }
        guard given.allSatisfy({ DeliveryFilter.names.contains($0.name) && $0.value.text != nil }) else {
            return Self.badBody(
                "an object whose filter has the list's parameters as texts: \(DeliveryFilter.names.sorted().joined(separator: ", "))"
            )
        }
        let rate = Self.integer(body["rate"], default: 10, RedeliveryJobs.ratesPerSecond)
        let limit = Self.integer(body["limit"], default: 1000, 1...RedeliveryJobs.deliveriesMax)
        guard let rate, let limit, ["dryRun", "again"].allSatisfy({ body[$0] == nil || body[$0]?.boolean != nil }),
            let wish = RedeliveryWish(body)
        else {
            return Self.badBody(
                "an object in which rate is 1 to 1000 a second, limit 1 to \(RedeliveryJobs.deliveriesMax), dryRun and again true "
                    + "or false, \(RedeliveryWish.form)")
        }
        let filter: DeliveryFilter
        do throws(DeliveryFilter.Problem) {
            filter = try DeliveryFilter(given.map { ($0.name, $0.value.text ?? "") }, now: cl_now_realtime())
        } catch {
            return Self.badParameter(error.message)
        }
        let isDry = body["dryRun"]?.boolean ?? false
        let isAgain = body["again"]?.boolean ?? false
        let generation = jobs.generation
        guard isDry || generation != nil else { return Self.isRunning }
        do throws(JournalError) {
            let selection = try selection(filter, wish, limit: limit, again: isAgain)
            if let refusal = selection.refusal { return refusal.answer }
            guard !isDry, let generation else {
                return .json(["selection": selection.json(isDry: true), "redelivery": .null])
            }
            return begin(selection, wish, rate: rate, again: isAgain, after: generation)
        } catch {
            return Self.unreadable(error)
        }
    }

    private static let isRunning = AdminAnswer.problem(
        .conflict, "redelivery-running",
        "another redelivery runs, or ran while this one was selected; GET \(prefix)/redeliveries shows how far it is, and "
            + "POST \(prefix)/redeliveries/{id}/cancel ends it. Then give the request again")

    private func begin(
        _ selection: RedeliverySelection, _ wish: RedeliveryWish, rate: Int, again: Bool, after generation: UInt64
    ) -> AdminAnswer {
        guard selection.isSearched else {
            return .problem(
                .conflict, "selection-too-large",
                "the journal could not be looked through in time, so that the oldest matching deliveries are not known; narrow the "
                    + "filter with since and until; what reads bodies or plans costs most: repository, ref and commit, target, "
                    + "planIndex and an object in to")
        }
        let job = jobs.begin(selection.sequences, rate: rate, after: generation) { [self] sequence in
            do throws(JournalError) {
                return try turn(sequence, wish, again: again)
            } catch {
                // It may have been redelivered meanwhile.
                return .failure(
                    RedeliveryRefusal(
                        status: .internalServerError, code: "journal-unreadable",
                        message: "what became of delivery \(sequence) cannot be read: \(error.message)"))
            }
        }
        guard let job else { return Self.isRunning }
        return .json(["selection": selection.json(isDry: false), "redelivery": job.json], status: .accepted)
    }

    /// What is done with a delivery of a selection when its turn comes: much may have happened since it was selected.
    func turn(
        _ sequence: UInt64, _ wish: RedeliveryWish, again: Bool
    ) throws(JournalError) -> Result<RedeliveryTurn, RedeliveryRefusal> {
        guard case .found(let delivery, let lastSegment) = try search(sequence) else {
            return .failure(
                RedeliveryRefusal(status: .notFound, code: "delivery-unknown", message: "it is gone meanwhile"))
        }
        let choice = chooser.act(wish, on: delivery, lastSegment: lastSegment)
        if !again, case .success(let act) = choice, try isDoneMeanwhile(delivery, act) {
            return .failure(
                RedeliveryRefusal(
                    status: .conflict, code: "redelivered-meanwhile",
                    message: "delivery \(sequence) was redelivered meanwhile, by its number or for an earlier request"))
        }
        return choice.map { Self.turn($0, of: delivery) }
    }

    private static func turn(_ act: RedeliveryAct, of delivery: IndexedDelivery) -> RedeliveryTurn {
        RedeliveryTurn(act: act, original: delivery.original, place: delivery.location)
    }

    /// Somebody redelivered it since it was selected, or is about to: what the journal has not taken yet may be the same.
    private func isDoneMeanwhile(_ delivery: IndexedDelivery, _ act: RedeliveryAct) throws(JournalError) -> Bool {
        if jobs.isUnderWay(delivery.original) { return true }
        for other in jobs.landed(of: delivery.original) where other > delivery.sequence {
            guard case .found(let later, _) = try search(other) else { continue }
            if isSettled(later, cl_now_monotonic() + Self.workNanoseconds), does(later, act, of: delivery) {
                return true
            }
        }
        return false
    }
}
