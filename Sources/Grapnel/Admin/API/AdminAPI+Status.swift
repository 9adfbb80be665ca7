// Routes, queues and the journal as they are now.

internal import CLinuxIO
internal import Delivery
internal import Journal
internal import Metrics
internal import NIOHTTP1
internal import Trigger

extension AdminAPI {
    func listRoutes(_ request: AdminRequest) -> AdminAnswer {
        let namespace = request.query.first { $0.name == "namespace" }?.value
        let table = parts.routes.table
        parts.refused.keep { table.definition(of: $0) != nil }
        let counts = parts.counts.all()
        let routes = table.routes.filter { namespace == nil || $0.identity.namespace == namespace }
        let deadline = cl_now_monotonic() + Self.workNanoseconds
        let found: (latest: [RouteIdentity: DeliveryIndex.Latest], isComplete: Bool)
        do throws(JournalError) { found = try index.latest(of: routes.map(\.identity), deadline: deadline) } catch {
            return Self.unreadable(error)
        }
        return .json([
            "isComplete": .bool(found.isComplete),
            "routes": .array(
                routes.map { route in
                    let latest = found.latest[route.identity] ?? DeliveryIndex.Latest()
                    var count = counts[route.identity] ?? RouteCounts.Figures()
                    count.lastReceived = max(count.lastReceived, latest.received)
                    let tokenRoutes = route.identity.kind == .hook ? [route.path] : []
                    return [
                        "route": DeliveryReport.json(route.identity),
                        "sender": .string(route.sender.name),
                        "path": .string(Plain.path(route.path, tokenRoutes: tokenRoutes)),
                        "host": route.host.map { .string($0) } ?? .null,
                        "readiness": .string(Self.word(route.readiness)),
                        "readinessReason": .string(Plain.text(route.readiness.summary)),
                        "source": .string(route.source),
                        "counters": count.json,
                        "lastDelivery": latest.delivery.map { report.row($0, of: route.identity, deadline: 0) }
                            ?? .null,
                        "refused": .array(parts.refused.last(of: route.identity).map(\.json)),
                    ]
                }),
        ])
    }

    private static func word(_ readiness: RouteReadiness) -> String {
        switch readiness {
        case .ready: "ready"
        case .suspended: "suspended"
        case .notReady: "not-ready"
        case .secretUnusable: "secret-unusable"
        }
    }

    func listQueues(_ request: AdminRequest) -> AdminAnswer {
        var limit = 100
        if let text = request.query.first(where: { $0.name == "limit" })?.value {
            guard let value = Int(text), (1...1000).contains(value) else {
                return Self.badParameter("limit is 1 to 1000")
            }
            limit = value
        }
        let (dispatcher, bound) = (parts.dispatcher, limit)
        let namespace = request.query.first { $0.name == "namespace" }?.value
        let cluster = request.query.first { $0.name == "cluster" }?.value
        let found = Blocking.wait(seconds: 5) {
            await dispatcher.queues(limit: bound, cluster: cluster, namespace: namespace)
        }
        guard let snapshot = found.flatMap({ $0 }) else {
            return .problem(.serviceUnavailable, "stopping", "the dispatcher has ended or is busy; ask again")
        }
        return .json(snapshot.json)
    }

    func journal() -> AdminAnswer {
        let metrics = parts.journalMetrics
        let segments = parts.reader.segments
        let refusal = parts.journalRefusal()
        let oldest = parts.dispatcher.metrics.oldestAgeSeconds.value
        return .json([
            "state": .string(refusal == nil ? "accepting" : "refusing"),
            "reason": refusal.map { .string(Plain.text($0)) } ?? .null,
            "durability": .string(parts.settings.durability.rawValue),
            "bytes": .number("\(metrics.bytesUsed.value)"),
            "bytesMax": .number("\(parts.settings.journalBytesMax)"),
            "segments": .number("\(segments.count)"),
            "oldestSequence": segments.first.map { .number("\($0.baseSequence)") } ?? .null,
            "durableSequence": .number("\(parts.durableSequence())"),
            "owed": .number("\(metrics.owedRecords.value)"),
            "oldestOwedSeconds": .number("\(max(0, oldest))"),
            "damage": .number("\(metrics.damage.value)"),
            "lostSegments": .array(parts.lostSegments().prefix(Self.limitMax).map(\.json)),
            "dedupeEntries": .number("\(metrics.dedupeEntries.value)"),
            "namespacesOverShare": .array(
                parts.shareRefusals.recent(now: cl_now_realtime()).map {
                    [
                        "cluster": .string($0.namespace.cluster), "namespace": .string($0.namespace.name),
                        "refused": .number("\($0.count)"), "lastRefused": .string(APITime.text($0.last)),
                    ]
                }),
        ])
    }
}

extension JournalWatch.Lost {
    fileprivate var json: JSONValue {
        [
            "segment": .number("\(segment)"), "from": .number("\(from)"), "through": .number("\(through)"),
            "owed": .number("\(owed)"), "seen": .string(APITime.text(seen)),
        ]
    }
}

extension DispatcherSnapshot {
    fileprivate var json: JSONValue {
        [
            "taken": .string(APITime.text(takenNanoseconds)), "queueCount": .number("\(queueCount)"),
            "totals": [
                "running": .number("\(totals.running)"), "waiting": .number("\(totals.waiting)"),
                "paused": .number("\(totals.paused)"), "owedDeliveries": .number("\(totals.owedDeliveries)"),
                "planning": .number("\(totals.planning)"), "spilled": .number("\(totals.spilled)"),
                "dead": .number("\(totals.dead)"),
                "oldestReceived": totals.oldestReceivedNanoseconds.map { .string(APITime.text($0)) } ?? .null,
            ],
            "queues": .array(queues.map(\.json)),
            "spilled": .array(
                spilled.map {
                    [
                        "route": DeliveryReport.json($0.route), "count": .number("\($0.count)"),
                        "oldestReceived": .string(APITime.text($0.oldestReceivedNanoseconds)),
                    ]
                }),
            "openBreakers": .array(
                openBreakers.map {
                    [
                        "key": .string($0.key), "state": .string($0.state.word),
                        "reason": .string(Plain.text($0.reason)),
                        "waitingQueues": .number("\($0.waitingQueues)"),
                    ]
                }),
            "paused": .array(PauseBook.sorted(paused).map(\.json)),
            "dead": .array(dead.map(\.json)),
        ]
    }
}

extension QueueSnapshot {
    fileprivate var json: JSONValue {
        [
            "action": .string(action), "target": .string(Plain.text(target)), "cluster": .string(cluster),
            "namespace": .string(namespace), "route": DeliveryReport.json(route),
            "oldestSequence": .number("\(oldestSequence)"),
            "oldestReceived": .string(APITime.text(oldestReceivedNanoseconds)), "waiting": .number("\(waiting)"),
            "running": .number("\(running)"), "paused": .number("\(paused)"), "merged": .number("\(merged)"),
            "nextDue": nextDueNanoseconds.map { .string(APITime.text($0)) } ?? .null,
            "lastFailure": lastFailure.map { .string(Plain.text($0)) } ?? .null,
            "lastFailureTime": lastFailureNanoseconds.map { .string(APITime.text($0)) } ?? .null,
            "breaker": .string(breaker.word), "breakerKey": breakerKey.map { .string($0) } ?? .null,
        ]
    }
}

extension QueueSnapshot.BreakerState {
    fileprivate var word: String {
        switch self {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half-open"
        }
    }
}

extension DeadTrigger {
    fileprivate var json: JSONValue {
        [
            "sequence": .number("\(sequence)"),
            "planIndex": planIndex == Journal.OutcomeEntry.wholeDelivery ? .null : .number("\(planIndex)"),
            "route": DeliveryReport.json(route), "action": .string(action), "target": .string(Plain.text(target)),
            "reason": .string(Plain.text(reason)), "attempts": .number("\(attempts)"),
            "received": .string(APITime.text(receivedNanoseconds)), "died": .string(APITime.text(diedNanoseconds)),
        ]
    }
}
