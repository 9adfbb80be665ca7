// Results of attempts: outcome, retry, backoff (DESIGN section 7).
//
//     done, ignored      final
//     healable           no attempt used; tried again until the delivery is older than `maxAge`
//     judged             one attempt used; dead after `attempts`
//     objectMissing      one attempt used; dead after three
//     final              dead
//
// A failed trigger that may be tried again gives way to a newer waiting one of the same key: it is merged, and the newer
// one waits for the backoff.

import Delivery

extension DispatcherCore {
    /// Takes the result of an attempt. A result for an attempt that is not running is left out.
    package mutating func complete(
        _ id: TriggerID, _ result: ActionResult, _ attempt: AttemptReport? = nil, now: UInt64
    ) {
        advance(to: now)
        let slot = Int(id.slot)
        guard slot < triggers.slots.count, triggers[slot].generation == id.generation, triggers[slot].state == .running
        else { return }
        let trigger = triggers[slot]
        let queue = Int(trigger.queue)
        release(slot)
        report(result, of: slot)
        let failure: ActionFailure
        queues[queue].lastFailure = nil
        switch result {
        case .done:
            end(
                slot, .done, detail: UInt64(trigger.tries),
                reason: trigger.merged > 0 ? "\(trigger.merged) merged into it" : "", attempt)
            return listIfExists(queue, trigger)
        case .ignored(let reason):
            end(slot, .ignored, reason: reason, attempt)
            return listIfExists(queue, trigger)
        case .failed(let value): failure = value
        }

        queues[queue].lastFailure = LastFailure(failure.reason, at: now)
        triggers[slot].failures = min(trigger.failures, .max - 1) + 1
        if failure.verdict != .healable { triggers[slot].attempts = min(trigger.attempts, .max - 1) + 1 }
        if failure.verdict == .objectMissing { triggers[slot].objectMissing += 1 }
        if failure.mayHaveActed { triggers[slot].mayHaveActed = true }
        if isSpent(slot, failure) {
            end(slot, .dead, detail: UInt64(triggers[slot].attempts), reason: failure.reason, attempt)
        } else {
            recordFailure(slot, failure, attempt)
            tryAgain(slot, failure)
        }
        listIfExists(queue, trigger)
    }

    private func isSpent(_ slot: Int, _ failure: ActionFailure) -> Bool {
        let trigger = triggers[slot]
        let policy = policies[Int(trigger.policy)]
        if now >= saturated(triggers[slot].receivedNanoseconds, plus: policy.maxAge) { return true }
        switch failure.verdict {
        case .final: return true
        case .healable: return false
        case .judged: return Int(trigger.attempts) >= max(1, policy.attempts)
        case .objectMissing:
            return Int(trigger.attempts) >= max(1, policy.attempts)
                || Int(trigger.objectMissing) >= settings.objectMissingAttemptsMax
        }
    }

    /// Attempts that count are recorded each; of those that do not, the first: an outage must not fill the journal. The final outcome says
    /// how many there were.
    private mutating func recordFailure(_ slot: Int, _ failure: ActionFailure, _ attempt: AttemptReport?) {
        if failure.verdict == .healable {
            if triggers[slot].isFailureRecorded { return }
            triggers[slot].isFailureRecorded = true
        }
        let trigger = triggers[slot]
        settle(
            OutcomeEntry(
                sequence: trigger.sequence, planIndex: trigger.planIndex, code: .failed,
                detail: UInt64(trigger.attempts), reason: failure.reason),
            of: trigger, slot: slot, attempt)
    }

    private mutating func tryAgain(_ slot: Int, _ failure: ActionFailure) {
        let trigger = triggers[slot]
        let policy = policies[Int(trigger.policy)]
        var wait = backoff(policy, failures: trigger.failures)
        if let asked = failure.retryAfterNanoseconds {
            // At least what the server asked for; the jitter comes on top, so that not all return at once.
            wait = asked &+ min(wait, policy.backoff)
        }
        // One last attempt when the delivery reaches its age.
        let limit = saturated(triggers[slot].receivedNanoseconds, plus: policy.maxAge)
        let due = min(saturated(now, plus: wait), max(limit, now))
        if let key = trigger.coalesceKey, let waiting = queues[Int(trigger.queue)].waitingByKey[key] {
            giveWay(slot, to: Int(waiting), due: due)
            return
        }
        triggers[slot].notBefore = due
        if let key = trigger.coalesceKey { queues[Int(trigger.queue)].waitingByKey[key] = Int32(slot) }
        // In an ordered queue it keeps its place, and those behind it wait.
        if queues[Int(trigger.queue)].isOrdered { enqueueFirst(slot) } else { delay(slot) }
    }

    /// Of a failed (or held) trigger and one that waits for the same, the one of the newer delivery stays, in the waiting one's place.
    mutating func giveWay(_ failed: Int, to waiting: Int, due: UInt64) {
        var place = triggers[waiting]
        place.notBefore = max(place.notBefore, due)
        place.failures = max(place.failures, triggers[failed].failures)
        triggers[waiting].notBefore = place.notBefore
        triggers[waiting].failures = place.failures
        if triggers[failed].sequence > place.sequence {
            triggers[waiting] = triggers[failed]
            triggers[waiting].notBefore = place.notBefore
            triggers[waiting].generation = place.generation
            triggers[waiting].state = place.state
            triggers[failed] = place
            triggers[waiting].failures = place.failures
            if let own = ownActions[failed] {
                ownActions[failed] = ownActions[waiting]
                ownActions[waiting] = own
            }
        }
        triggers[waiting].merged = sum(triggers[waiting].merged, triggers[failed].merged)
        settleMerged(triggers[failed], into: triggers[waiting].sequence)
        free(failed)
    }

    /// Exponential with full jitter: anything from nothing to `backoff · 2^(failures-1)`, at most `maxBackoff`.
    private mutating func backoff(_ policy: PolicyKey, failures: UInt16) -> UInt64 {
        let exponent = UInt64(min(max(failures, 1) - 1, 40))
        let (product, overflow) = policy.backoff.multipliedReportingOverflow(by: 1 << exponent)
        let ceiling = min(overflow ? .max : product, policy.maxBackoff)
        return ceiling == 0 ? 0 : random.next() % (ceiling &+ 1 == 0 ? .max : ceiling + 1)
    }

    mutating func end(
        _ slot: Int, _ code: OutcomeCode, detail: UInt64 = 0, reason: String = "", _ attempt: AttemptReport? = nil
    ) {
        let trigger = triggers[slot]
        settle(
            OutcomeEntry(
                sequence: trigger.sequence, planIndex: trigger.planIndex, code: code, detail: detail, reason: reason),
            of: trigger, slot: slot, attempt)
        free(slot)
    }

    /// The queue may be gone with its last trigger, and its slot may already serve another target.
    private mutating func listIfExists(_ queue: Int, _ trigger: Trigger) {
        if queues[queue].triggerCount > 0 { listIfStartable(queue) }
    }

    /// The merged of two, one of which is merged into the other.
    func sum(_ one: UInt32, _ other: UInt32) -> UInt32 {
        UInt32(clamping: UInt64(one) + UInt64(other) + 1)
    }

    private func saturated(_ value: UInt64, plus other: UInt64) -> UInt64 {
        let (sum, overflow) = value.addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
