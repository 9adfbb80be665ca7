// SimulationCoverage: what simulated runs reached, so that a test can tell that it still looks at what it is for.

import Trigger

@testable import Grapnel

struct SimulationCoverage: Equatable {
    var acknowledged = 0
    var duplicates = 0
    var unavailable = 0
    var refused = 0
    var recovered = 0
    var failedStarts = 0
    var powerCuts = 0
    var kills = 0
    var shutdowns = 0
    var troubles = 0
    var starts = 0
    var lostOutcomes = 0
    var outcomes: [OutcomeCode: Int] = [:]
    var overflows = 0
    var breakers = 0
    var moves = 0
    var sealed = 0
    var copies = 0
    var emptied = 0
    var redeliveries = 0
    var redeliveriesRefused = 0
    /// Of actions that were held because of a pause, the most at once.
    var held = 0
    var steps = 0
    var spill = SpillCoverage()
    var staff = OperatorCoverage()

    /// Of a life that ends; the ledgers' counts are over all lives so far.
    mutating func add(_ life: PipelineLife, _ triggers: TriggerLedger, _ deliveries: DeliveryLedger) {
        acknowledged = deliveries.acknowledged.count
        duplicates = deliveries.duplicates
        unavailable = deliveries.unavailable
        refused = deliveries.refused
        starts = triggers.startCount
        lostOutcomes = triggers.lostOutcomes
        outcomes = triggers.counts
        overflows += Int(life.hints.overflows.load(ordering: .relaxed))
        breakers += life.dispatcher.breakersOpened
        moves += life.shape.loopCount == 1 && life.hasThread ? 1 : 0
        let metrics = life.desk.writer.metrics
        sealed += Int(metrics.writeFailures.value + metrics.syncFailures.value)
        redeliveries = deliveries.redeliveries.count
        redeliveriesRefused = deliveries.redeliveries.refusedCount
        held = max(held, life.dispatcher.heldMax)
        copies += Int(metrics.copies.value + metrics.segmentsKept.value)
    }

    mutating func add(_ other: SimulationCoverage) {
        acknowledged += other.acknowledged
        duplicates += other.duplicates
        unavailable += other.unavailable
        refused += other.refused
        recovered += other.recovered
        failedStarts += other.failedStarts
        powerCuts += other.powerCuts
        kills += other.kills
        shutdowns += other.shutdowns
        troubles += other.troubles
        starts += other.starts
        lostOutcomes += other.lostOutcomes
        outcomes.merge(other.outcomes, uniquingKeysWith: +)
        overflows += other.overflows
        breakers += other.breakers
        moves += other.moves
        sealed += other.sealed
        copies += other.copies
        emptied += other.emptied
        redeliveries += other.redeliveries
        redeliveriesRefused += other.redeliveriesRefused
        held = max(held, other.held)
        steps += other.steps
        spill.merge(other.spill, uniquingKeysWith: +)
        staff.add(other.staff)
    }
}
