// MetricsPage: everything the server counts, as one scrape. Names: grapnel_<stage>_<noun>_<unit>; labels only from closed sets.

internal import Ring
internal import Synchronization
internal import Cluster
internal import Delivery
internal import EventLoop
internal import Foundation
internal import HTTP
internal import Journal
internal import Metrics
internal import Trigger

/// Gathers the figures of all parts.
struct MetricsPage: Sendable {
    var loops: [LoopControl]
    var journal: JournalMetrics
    var trigger: TriggerMetrics
    var hints: HintChannel
    var lanes: [JournalLane]
    var budget: MemoryBudget
    /// Nil without TLS listeners.
    var tls: TLSKeeper?
    var routes: CurrentRoutes
    var clusters: ClusterSet
    var gate: ListingGate
    var counts: RouteCounts
    var routesMax: Int
    var startedUnixSeconds: Double
    var version: String

    static let contentType = PrometheusText.contentType

    func render() -> String {
        var text = PrometheusText()
        server(&text)
        connections(&text)
        tls(&text)
        requests(&text)
        journal(&text)
        rings(&text)
        triggers(&text)
        cluster(&text)
        byRoute(&text)
        return text.text
    }

    private func sum(_ figure: (LoopCounters) -> UInt64) -> UInt64 { loops.reduce(0) { $0 + figure($1.counters) } }

    private func server(_ text: inout PrometheusText) {
        text.begin("grapnel_build_info", .gauge, "Always 1; the version is in the label.")
        text.sample([("version", version)], UInt64(1))
        text.single(
            "grapnel_process_start_time_seconds", .gauge, "When the process started, Unix time.", startedUnixSeconds)
        let memory = ProcessMemory.read()
        text.single(
            "grapnel_process_resident_memory_bytes", .gauge, "Memory in use by the process.", memory.residentBytes)
        text.single("grapnel_process_open_fds", .gauge, "Open file descriptors.", memory.openDescriptors)
        let table = routes.table
        text.begin("grapnel_catalog_routes", .gauge, "Routes in use by receiver kind and readiness.")
        for kind in ReceiverKind.allCases {
            let all = table.routes.filter { $0.identity.kind == kind }
            let ready = all.count { $0.readiness == .ready }
            text.sample([("kind", kind.name), ("ready", "true")], UInt64(ready))
            text.sample([("kind", kind.name), ("ready", "false")], UInt64(all.count - ready))
        }
    }

    private func connections(_ text: inout PrometheusText) {
        text.begin("grapnel_connection_open_connections", .gauge, "Connections open now, by loop.")
        for loop in loops { text.sample([("loop", "\(loop.index)")], Double(loop.counters.connectionsOpen.value)) }
        text.single(
            "grapnel_connection_accepted_total", .counter, "Connections accepted.", sum { $0.connectionsAccepted.value }
        )
        text.single(
            "grapnel_connection_refused_total", .counter,
            "Connections closed at once: too many in all or from one address.",
            sum { $0.connectionsRefused.value })
        text.single(
            "grapnel_connection_received_bytes_total", .counter, "Bytes received.", sum { $0.bytesReceived.value })
        text.single(
            "grapnel_connection_timeouts_total", .counter, "Requests and answers that missed their deadline.",
            sum { $0.timeouts.value })
        text.single(
            "grapnel_body_reserved_bytes", .gauge, "Memory reserved for bodies that did not come in one receive.",
            UInt64(max(0, budget.usedBytes)))
        text.single("grapnel_body_limit_bytes", .gauge, "Most memory that bodies may reserve.", UInt64(budget.limit))
        text.single(
            "grapnel_body_refused_total", .counter, "Requests refused because no memory was free.",
            sum { $0.memoryRefusals.value })
    }

    private func tls(_ text: inout PrometheusText) {
        guard let tls else { return }
        text.begin("grapnel_tls_handshakes_total", .counter, "TLS handshakes by result.")
        for result in TLSHandshakeResult.allCases {
            text.sample([("result", result.name)], tls.counts.reduce(0) { $0 + $1[result] })
        }
        text.single(
            "grapnel_tls_certificate_expiry_seconds", .gauge, "When the certificate in use expires, Unix time.",
            Double(tls.source.context.notAfter))
        text.begin("grapnel_tls_reloads_total", .counter, "Changed certificate files, by whether they could be used.")
        text.sample([("result", "ok")], tls.reloads.value)
        text.sample([("result", "failed")], tls.failures.value)
    }

    private func requests(_ text: inout PrometheusText) {
        text.begin("grapnel_http_requests_total", .counter, "Answered requests by kind of route and status code.")
        for (kind, name) in LoopCounters.kinds.enumerated() {
            for (code, status) in LoopCounters.codes.enumerated() {
                text.sample(
                    [("kind", name), ("code", "\(status)")], sum { $0.requests(kind: kind, code: code) })
            }
        }
        text.begin("grapnel_http_refused_total", .counter, "Requests refused by the parser, by reason.")
        for error in HTTPParseError.allCases {
            text.sample([("reason", "\(error.name)")], sum { $0.parseErrors(error) })
        }
        text.begin("grapnel_verify_rejected_total", .counter, "Deliveries that failed verification, by reason.")
        for cause in VerifyCause.allCases where cause != .none {
            text.sample([("reason", cause.name)], sum { $0.refusals(cause) })
        }
        text.begin("grapnel_delivery_ignored_total", .counter, "Verified deliveries that cause nothing, by reason.")
        for reason in Delivery.IgnoredReason.allCases {
            text.sample([("reason", reason.name)], sum { $0.ignored[Int(reason.rawValue) - 1].value })
        }
        text.single(
            "grapnel_delivery_duplicates_total", .counter, "Deliveries answered as duplicates.",
            sum { $0.duplicates.value })
        text.begin(
            "grapnel_delivery_answer_seconds", .histogram, "From the first byte of a verified delivery to its answer.")
        text.histogram([], loops.map(\.counters.answerSeconds))
        text.begin("grapnel_loop_turn_deliveries", .histogram, "Deliveries that became complete in one turn of a loop.")
        text.histogram([], loops.map(\.counters.turnDeliveries))
        text.begin("grapnel_loop_turns_total", .counter, "Turns of each loop.")
        for loop in loops { text.sample([("loop", "\(loop.index)")], loop.counters.turns.value) }
    }

    private func journal(_ text: inout PrometheusText) {
        text.begin("grapnel_journal_records_total", .counter, "Records written, by type.")
        for (type, counter) in [
            ("delivery", journal.deliveries), ("plan", journal.plans), ("outcome", journal.outcomes),
            ("probe", journal.probes),
        ] { text.sample([("type", type)], counter.value) }
        text.single(
            "grapnel_journal_duplicates_total", .counter, "Deliveries recorded as duplicates.", journal.duplicates.value
        )
        text.single("grapnel_journal_copies_total", .counter, "Records copied forward.", journal.copies.value)
        text.single("grapnel_journal_written_bytes_total", .counter, "Bytes of records written.", journal.bytes.value)
        text.single("grapnel_journal_syncs_total", .counter, "Syncs.", journal.syncs.value)
        text.begin("grapnel_journal_sync_seconds", .histogram, "Duration of a sync.")
        text.histogram([], [journal.syncSeconds])
        text.begin("grapnel_journal_batch_records", .histogram, "Records that shared one write and sync.")
        text.histogram([], [journal.batchRecords])
        text.begin("grapnel_journal_failures_total", .counter, "Writes and syncs that failed.")
        text.sample([("operation", "write")], journal.writeFailures.value)
        text.sample([("operation", "sync")], journal.syncFailures.value)
        text.begin("grapnel_journal_segments_total", .counter, "Segments created, recycled and removed.")
        text.sample([("operation", "created")], journal.segmentsCreated.value)
        text.sample([("operation", "recycled")], journal.segmentsRecycled.value)
        text.sample([("operation", "removed")], journal.segmentsRemoved.value)
        text.single(
            "grapnel_journal_damage_total", .counter,
            "Damaged places found when the journal was opened, and segments lost since.",
            journal.damage.value)
        text.single(
            "grapnel_journal_refused_total", .counter, "Deliveries the journal had no room for.", journal.refused.value)
        text.single("grapnel_journal_used_bytes", .gauge, "Size of all segments.", Double(journal.bytesUsed.value))
        text.single(
            "grapnel_journal_owed_deliveries", .gauge, "Deliveries without a final outcome.",
            Double(journal.owedRecords.value))
        text.single(
            "grapnel_journal_sealed", .gauge, "1 while nothing can be acknowledged because a write or sync failed.",
            Double(journal.sealed.value))
        text.single(
            "grapnel_journal_dedupe_entries", .gauge, "Delivery ids remembered.", Double(journal.dedupeEntries.value))
    }

    private func rings(_ text: inout PrometheusText) {
        text.begin("grapnel_ring_depth_entries", .gauge, "Entries in a ring now.")
        text.sample([("ring", "dispatch")], UInt64(hints.ring.depth))
        for (index, lane) in lanes.enumerated() {
            text.sample([("ring", "journal-\(index)")], UInt64(lane.requests.depth))
            text.sample([("ring", "answer-\(index)")], UInt64(lane.verdicts.depth))
        }
        text.begin("grapnel_ring_capacity_entries", .gauge, "Entries a ring holds.")
        text.sample([("ring", "dispatch")], UInt64(hints.ring.capacity))
        for (index, lane) in lanes.enumerated() {
            text.sample([("ring", "journal-\(index)")], UInt64(lane.requests.capacity))
            text.sample([("ring", "answer-\(index)")], UInt64(lane.verdicts.capacity))
        }
        text.single(
            "grapnel_ring_full_total", .counter,
            "Hints that did not fit the ring to the dispatcher; it read them from the journal.",
            hints.overflows.load(ordering: .relaxed))
    }

    private func triggers(_ text: inout PrometheusText) {
        text.begin("grapnel_trigger_outcomes_total", .counter, "Outcomes by action; failed counts attempts.")
        for action in TriggerMetrics.actions + ["none"] {
            for code in OutcomeCode.allCases {
                text.sample([("action", action), ("outcome", code.name)], trigger.outcome(action, code).value)
            }
        }
        text.single("grapnel_trigger_attempts_total", .counter, "Attempts of actions.", trigger.attempts.value)
        text.single(
            "grapnel_trigger_retries_total", .counter, "Attempts that were not the first.", trigger.retries.value)
        text.single("grapnel_trigger_running_actions", .gauge, "Actions running now.", Double(trigger.running.value))
        text.single("grapnel_trigger_waiting_actions", .gauge, "Actions that wait.", Double(trigger.waiting.value))
        text.single(
            "grapnel_trigger_owed_deliveries", .gauge, "Deliveries the dispatcher holds.",
            Double(trigger.owedDeliveries.value))
        text.single(
            "grapnel_trigger_spilled_deliveries", .gauge,
            "Deliveries over their route's share of what is held: they wait in the journal alone.",
            Double(trigger.spilled.value))
        text.single(
            "grapnel_trigger_capacity_deliveries", .gauge,
            "Deliveries the dispatcher may hold; more wait in the journal.",
            Double(trigger.capacity.value))
        text.single(
            "grapnel_trigger_oldest_age_seconds", .gauge, "Age of the oldest delivery without a final outcome.",
            Double(trigger.oldestAgeSeconds.value))
        text.single(
            "grapnel_trigger_open_breakers", .gauge, "Servers that are left alone after failures.",
            Double(trigger.openBreakers.value))
        text.begin("grapnel_trigger_breaker_open", .gauge, "1 while the API server of a cluster is left alone.")
        for cluster in clusters.names {
            text.sample([("cluster", cluster)], UInt64(trigger.breakerState(cluster: cluster) ?? 0))
        }
        text.begin("grapnel_trigger_done_seconds", .histogram, "From receipt to done.")
        text.histogram([], [trigger.receiveToDoneSeconds])
    }
}

/// What /proc says of this process.
struct ProcessMemory {
    var residentBytes: UInt64 = 0
    var openDescriptors: UInt64 = 0

    static func read() -> ProcessMemory {
        var memory = ProcessMemory()
        if let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) {
            let fields = text.split(separator: " ")
            if fields.count > 1, let pages = UInt64(fields[1]) {
                memory.residentBytes = pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
            }
        }
        memory.openDescriptors = UInt64(
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0)
        return memory
    }
}
