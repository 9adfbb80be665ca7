// The calm end of a simulated run: nothing fails any more, so nothing may be missing.

import CCrypto
import EventLoop
import Journal
import Trigger

@testable import Grapnel

extension PipelineSimulation {
    /// Works off what is owed, serves strict clients, and looks for what is left.
    func workOff() {
        life.listAll()
        runUntil("what is owed is not worked off") { self.isWorkedOff }
        guard problems.texts.isEmpty else { return }
        connectStrictly()
        if shape.operates { operateCalmly() } else { for _ in 0..<4 { redeliver() } }
        runUntil("an answer never came") { self.peers.allSatisfy(\.isFinished) }
        for index in peers.indices {
            problems.verify(
                peers[index].client.answers.count == peers[index].requests.count, "the server ended a good connection")
            peers[index].leave()
        }
        runUntil("something is left when all is quiet") {
            self.isWorkedOff && self.life.loops.allSatisfy { $0.leftovers.isEmpty } && self.life.budget.usedBytes == 0
        }
        guard problems.texts.isEmpty else { return }
        coverage.add(life, triggers, deliveries)
        checkSecrets()
        closeJournal()
        disk.crash()
        reopen()
    }

    var isWorkedOff: Bool {
        life.mailbox.isEmpty && life.desk.writer.owedCount == 0 && life.dispatcher.isQuiet && life.hasDurableOutcomes
            && life.hints.ring.depth == 0 && life.hints.overflowFrom.load(ordering: .acquiring) == 0
    }

    /// Good requests for every route, repeats among them.
    private func connectStrictly() {
        peers = []
        for loop in life.loops {
            for _ in 0..<2 {
                var requests: [SimulatedRequest] = []
                for _ in 0..<3 {
                    let route = Int.random(in: 0..<SimulatedRoutes.all.count, using: &random)
                    requests.append(sender.good(&random, route: route))
                }
                if let again = requests.randomElement(using: &random) { requests.append(again) }
                requests.append(sender.next(&random))
                if let end = requests.firstIndex(where: { if case .closed = $0.expectation { true } else { false } }) {
                    requests.removeLast(requests.count - 1 - end)
                }
                peers.append(SimulatedPeer(loop.network, window: .max, requests, deliveries))
            }
        }
    }

    /// In the life that had the trouble everything owed is worked off, without a restart.
    func settle() {
        guard problems.texts.isEmpty, !disk.isGone else { return }
        disk.withFaults { $0 = SimulatedDisk.Faults() }
        for index in peers.indices where !peers[index].client.isGone { peers[index].reset() }
        life.calm()
        runUntil("what is owed is not worked off without a restart", isStrict: false) { self.isWorkedOff }
    }

    func runUntil(_ complaint: String, isStrict: Bool = true, _ condition: () -> Bool) {
        for _ in 0..<20_000 {
            if condition() || !problems.texts.isEmpty { return }
            var wasBusy = false
            for part in 0..<life.partCount where life.turn(part) { wasBusy = true }
            for index in peers.indices where !peers[index].client.isGone {
                peers[index].write(upTo: Int.random(in: 1...30_000, using: &random))
                peers[index].read(deliveries, problems, isStrict: isStrict)
            }
            life.checkSleepers(problems)
            deliveries.redeliveries.takeAnswers(life.history, isStrict: isStrict)
            if life.hasDurableOutcomes { triggers.everythingIsDurable() }
            let next = life.wakeAt
            let isSending = peers.contains { !$0.isFinished }
            time.advance(wasBusy || isSending || next <= time.now ? 100_000 : next - time.now)
        }
        let left = life.loops.flatMap(\.leftovers)
        problems.verify(
            false,
            "\(complaint): \(life.desk.writer.owedCount) owed, \(life.dispatcher.leftovers), "
                + (life.hasDurableOutcomes ? "" : "outcomes that are not durable, ")
                + "\(life.hints.ring.depth) hints, \(left)")
    }

    /// Tokens are overwritten before a record is written.
    private func checkSecrets() {
        for route in SimulatedRoutes.all.indices {
            problems.verify(!disk.holds(SimulatedRoutes.secret(route)), "the secret of route \(route) is on disk")
        }
    }

    /// Nothing is owed to anybody, and every delivery has its one end.
    private func reopen() {
        do {
            let (writer, report) = try JournalWriter.open(
                options: options, disk: disk, checksum: { cc_crc32($0, $1, $2) }, now: time.now)
            problems.verify(report.owed.isEmpty, "\(report.owed.map(\.sequence)) are owed after all was done")
            if !isEmptied(report) { check(writer, report) }
            writer.close(now: time.now)
        } catch {
            problems.verify(false, "the journal cannot be opened: \(error)")
        }
        for (sequence, entry) in triggers.entries {
            problems.verify(entry.mayBeFinal, "\(sequence) has no end")
        }
        let handles = disk.openHandles
        problems.verify(handles == 0, "\(handles) files are still open")
    }
}
