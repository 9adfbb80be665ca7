// Pausing. A trigger of what is paused is *held*: out of its queue, owed, without a timer. It gets there when it comes or when its turn
// comes, whichever is later, so that pausing costs nothing for those that wait already. Held triggers of one key are merged
// among themselves, so that a pause under a storm holds one and not thousands; they never take the place of one
// that is not paused. Resuming puts them back in the order of their deliveries.

import Delivery

extension DispatcherCore {
    /// Names what is held for a target and key.
    struct HeldKey: Hashable, Sendable {
        var queue: Int32
        var key: CoalesceKey
    }

    /// Pauses exactly these; what is held and no longer paused goes on.
    package mutating func setPaused(_ subjects: Set<PauseSubject>, now: UInt64) {
        advance(to: now)
        guard paused != subjects else { return }
        paused = subjects
        for index in queues.slots.indices where queues[index].isInUse {
            queues[index].isPaused = isTargetPaused(queues[index])
        }
        let resumed = triggers.slots.indices.filter {
            triggers[$0].state == .held && triggers[$0].queue != IndexList.none && !isPaused(triggers[$0])
        }
        // Each goes before those that came while it was held.
        var inOrder: [Int: [Int]] = [:]
        for slot in resumed.sorted(by: { triggers[$0].place > triggers[$1].place }) {
            let queue = Int(triggers[slot].queue)
            // In an ordered queue backoff is waited for in line, and what was never held may be of an earlier delivery.
            if queues[queue].isOrdered, triggers[slot].coalesceKey == nil {
                inOrder[queue, default: []].append(slot)
            } else {
                resume(slot)
            }
        }
        for (queue, slots) in inOrder.sorted(by: { $0.key < $1.key }) { enqueueInOrder(slots.reversed(), of: queue) }
    }

    func isPaused(_ trigger: Trigger) -> Bool {
        guard !paused.isEmpty else { return false }
        if queues[Int(trigger.queue)].isPaused { return true }
        let route = routes[Int(trigger.route)]
        return paused.contains(.route(route))
            || paused.contains(.namespace(cluster: route.cluster, namespace: route.namespace))
    }

    func isTargetPaused(_ queue: Queue) -> Bool {
        !paused.isEmpty && paused.contains(.target(cluster: queue.cluster, text: queue.action.targetText))
    }

    /// Takes a trigger out of its queue's turn; it is in no list any more.
    mutating func hold(_ slot: Int) {
        let trigger = triggers[slot]
        if let key = trigger.coalesceKey {
            let queue = Int(trigger.queue)
            if queues[queue].waitingByKey[key] == Int32(slot) { queues[queue].waitingByKey[key] = nil }
            if let other = heldByKey[HeldKey(queue: trigger.queue, key: key)] {
                giveWay(slot, to: Int(other), due: trigger.notBefore)
                return
            }
            heldByKey[HeldKey(queue: trigger.queue, key: key)] = Int32(slot)
        }
        triggers[slot].state = .held
    }

    private mutating func resume(_ slot: Int) {
        let trigger = triggers[slot]
        if let key = trigger.coalesceKey {
            heldByKey[HeldKey(queue: trigger.queue, key: key)] = nil
            if let waiting = queues[Int(trigger.queue)].waitingByKey[key] {
                giveWay(slot, to: Int(waiting), due: trigger.notBefore)
                return
            }
            queues[Int(trigger.queue)].waitingByKey[key] = Int32(slot)
        }
        if trigger.notBefore > now { delay(slot) } else { enqueueFirst(slot) }
    }
}
