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
        let choice: RedeliveryChooser.Choice
        do throws(JournalError) {
            guard case .found(let delivery, let lastSegment) = try search(sequence) else {
                return Self.unknownDelivery(text)
            }
            choice = chooser.act(wish, on: delivery, lastSegment: lastSegment)
        } catch {
            return Self.unreadable(error)
        }
        let isDry = body["dryRun"]?.boolean == true
        switch choice.flatMap({ act in isDry ? .success(0) : parts.redeliver(sequence, act) }) {
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
        do throws(JournalError) {
            let selection = try selection(filter, wish, limit: limit, again: body["again"]?.boolean ?? false)
            if let refusal = selection.refusal { return refusal.answer }
            return isDry
                ? .json(["selection": selection.json(isDry: true), "redelivery": .null])
                : begin(selection, wish, rate: rate)
        } catch {
            return Self.unreadable(error)
        }
    }

    private func begin(_ selection: RedeliverySelection, _ wish: RedeliveryWish, rate: Int) -> AdminAnswer {
        guard selection.isSearched else {
            return .problem(
                .conflict, "selection-too-large",
                "the journal could not be looked through in time, so that the oldest matching deliveries are not known; narrow the "
                    + "filter with since and until; what reads bodies or plans costs most: repository, ref and commit, target, "
                    + "planIndex and an object in to")
        }
        let job = jobs.begin(selection.sequences, rate: rate) { [self] sequence in
            // Much may have happened since it was selected.
            guard case .found(let delivery, let lastSegment)? = try? search(sequence) else {
                return .failure(
                    RedeliveryRefusal(status: .notFound, code: "delivery-unknown", message: "it is gone meanwhile"))
            }
            return chooser.act(wish, on: delivery, lastSegment: lastSegment)
        }
        guard let job else {
            return .problem(
                .conflict, "redelivery-running",
                "another redelivery runs; GET \(Self.prefix)/redeliveries shows how far it is, and "
                    + "POST \(Self.prefix)/redeliveries/{id}/cancel ends it")
        }
        return .json(["selection": selection.json(isDry: false), "redelivery": job.json], status: .accepted)
    }
}
