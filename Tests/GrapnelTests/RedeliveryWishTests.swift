// What a redelivery may be asked for, in the words of the API; which deliveries are dead.

import Delivery
import Glibc
import Journal
import NIOHTTP1
import Testing
import Trigger

@testable import Grapnel

@Suite("What a redelivery is asked for")
struct RedeliveryWishTests {
    private func wish(_ text: String) -> RedeliveryWish? {
        JSONValue(Array(text.utf8)).flatMap { RedeliveryWish($0) }
    }

    @Test(
        "what cannot be understood is refused",
        arguments: [
            #"{"target": ""}"#, #"{"target": 1}"#, #"{"planIndex": -1}"#, #"{"planIndex": 65536}"#,
            #"{"planIndex": "0"}"#,
            #"{"planIndex": 1.5}"#, #"{"planIndex": true}"#, #"{"planIndex": null}"#, #"{"to": 1}"#, #"{"to": ""}"#,
            #"{"to": "canary"}"#, #"{"to": "team-a/canary"}"#, #"{"to": "Hook/team-a/"}"#, #"{"to": "/team-a/canary"}"#,
            #"{"to": "Hook/team-a/canary/x"}"#, #"{"to": ":Hook/team-a/canary"}"#, #"{"to": "http://127.0.0.1/x"}"#,
            #"{"to": "https://example.org/a/b"}"#, #"{"to": "east:GitRepository/team-a/x"}"#,
            #"{"to": "Hook/team-a/canary", "target": "x"}"#, #"{"to": "Hook/team-a/canary", "planIndex": 0}"#,
        ])
    func refused(_ text: String) {
        #expect(wish(text) == nil)
    }

    @Test("a kind that defines routes means a route, another one an object; only of a route a cluster is named")
    func aims() throws {
        let route = try #require(wish(#"{"to": "east:hook/team-a/canary"}"#))
        #expect(route.to == .route(cluster: "east", kind: .hook, namespace: "team-a", name: "canary"))
        #expect(!route.isOfPlan)
        let object = try #require(wish(#"{"to": "GitRepository/team-a/canary", "planIndex": 0, "target": "x"}"#))
        #expect(object.to == .object(kind: "GitRepository", namespace: "team-a", name: "canary"))
        #expect(object.isOfPlan && object.planIndex == 0 && object.target == "x")
        #expect(try !#require(wish("{}")).isOfPlan)
    }

    @Test("of what was found newest first, the oldest are kept, oldest first")
    func cut() {
        var selection = RedeliverySelection()
        selection.isSearched = true
        for sequence: UInt64 in [9, 7, 5, 3] { selection.take(sequence, limit: 3) }
        selection.finish(limit: 3)
        #expect(selection.sequences == [3, 5, 7] && selection.beyondLimit == 1)
        #expect(selection.json(isDry: true)["isComplete"] == .bool(false))
        selection = RedeliverySelection()
        selection.isSearched = true
        for sequence: UInt64 in [9, 7] { selection.take(sequence, limit: 3) }
        selection.finish(limit: 3)
        #expect(selection.sequences == [7, 9] && selection.beyondLimit == 0)
        #expect(selection.json(isDry: true)["isComplete"] == .bool(true))
    }

    @Test("however many are found, no more than twice the limit is kept")
    func bounded() {
        for limit in [1, 3, 10] {
            var selection = RedeliverySelection()
            var most = 0
            for sequence in (1...100 as ClosedRange<UInt64>).reversed() {
                selection.take(sequence, limit: limit)
                most = max(most, selection.sequences.count)
            }
            selection.finish(limit: limit)
            #expect(most <= 2 * limit)
            #expect(selection.sequences == Array(1...UInt64(limit)) && selection.beyondLimit == 100 - limit)
        }
    }

    @Test("what is to be done with a redelivery stands for its original when it is the same, or a part of it")
    func stands() {
        let route = RedeliveryAct.route(RouteIdentity(kind: .hook, namespace: "team-a", name: "canary"))
        let east = RedeliveryAct.route(RouteIdentity(cluster: "east", kind: .hook, namespace: "team-a", name: "canary"))
        let entries = (4...5 as ClosedRange<UInt8>).map { PlanEntry(actionKind: $0, target: [1]) }
        for isOfOneRoute in [false, true] {
            #expect(route.stands(for: route, isOfOneRoute: isOfOneRoute))
            #expect(!route.stands(for: east, isOfOneRoute: isOfOneRoute))
            #expect(!route.stands(for: .asConfigured, isOfOneRoute: isOfOneRoute))
            #expect(RedeliveryAct.asConfigured.stands(for: .asConfigured, isOfOneRoute: isOfOneRoute) == isOfOneRoute)
            #expect(RedeliveryAct.plan([entries[0]]).stands(for: .plan(entries), isOfOneRoute: isOfOneRoute))
            #expect(!RedeliveryAct.plan([entries[0]]).stands(for: .plan([entries[1]]), isOfOneRoute: isOfOneRoute))
        }
    }

    @Test(
        "what one of a chain of merged builds is to do stands for the others, whatever each asks for; for no other target"
    )
    func mergedBuilds() {
        func entry(_ action: PlannedAction) -> PlanEntry {
            PlanEntry(actionKind: action.encoded.actionKind, target: action.encoded.target)
        }
        func build(_ name: String, _ commit: String) -> PlanEntry {
            let config = TargetReference(
                apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: "team-a", name: name)
            return entry(.openshiftBuild(config, buildRequest: Array(commit.utf8)))
        }
        let last = RedeliveryAct.plan([build("app", "c3")])
        let first = RedeliveryAct.plan([build("app", "c1")])
        let other = RedeliveryAct.plan([build("other", "c1")])
        #expect(last.stands(for: first, isOfOneRoute: true, isMerged: true))
        #expect(!last.stands(for: first, isOfOneRoute: true))
        #expect(!last.stands(for: other, isOfOneRoute: true, isMerged: true))
        let calls = (1...2 as ClosedRange<UInt64>).map {
            entry(.http(origin: "https://x.example.org", fingerprint: $0))
        }
        #expect(!RedeliveryAct.plan([calls[0]]).stands(for: .plan([calls[1]]), isOfOneRoute: true, isMerged: true))
        let junk = PlanEntry(actionKind: 5, target: [1])
        #expect(RedeliveryAct.plan([junk]).stands(for: .plan([junk]), isOfOneRoute: true, isMerged: true))
        #expect(!RedeliveryAct.plan([junk]).stands(for: first, isOfOneRoute: true, isMerged: true))
    }

    @Test("a wish that is for none of the deliveries is refused; where some were redelivered before it is not")
    func misfits() {
        var selection = RedeliverySelection()
        for code in ["still-owed", "body-not-kept", "route-gone"] {
            selection.leaveOut(RedeliveryRefusal(status: .conflict, code: code, message: ""))
        }
        #expect(selection.refusal == nil && selection.owed == 1 && selection.duplicates == 1 && selection.gone == 1)
        selection.leaveOut(RedeliveryRefusal(status: .conflict, code: "target-unknown", message: "first"))
        selection.leaveOut(RedeliveryRefusal(status: .conflict, code: "to-unknown", message: "second"))
        #expect(selection.unfit == 2 && selection.refusal?.message == "first")
        selection.redelivered = 1
        #expect(selection.refusal == nil)
    }
}

@Suite("Redeliveries of many")
struct RedeliveryJobsTests {
    @Test("a job that is cancelled ends before its next delivery, and says so; another may begin then")
    func cancel() throws {
        let carried = Locked<[UInt64]>([])
        let jobs = RedeliveryJobs { sequence, _, _ in
            carried.withLock { $0.append(sequence) }
            return .success(sequence + 100)
        }
        func member(_ answer: AdminAnswer, _ name: String) -> JSONValue? { JSONValue(answer.bytes)?[name] }
        let job = try #require(jobs.begin(Array(1...1000), rate: 1, after: 1) { turn($0) })
        #expect(jobs.generation == nil)
        #expect(jobs.begin([1], rate: 1, after: 2) { turn($0) } == nil)
        #expect(jobs.cancel("99").status == .notFound)
        let answer = jobs.cancel("\(job.id)")
        #expect(member(answer, "state") == .string("cancelled"))
        let count = carried.withLock { $0.count }
        #expect(count < 1000 && member(answer, "done") == .number("\(count)"))

        let second = try #require(
            jobs.begin([5, 6], rate: 1000, after: 2) { $0 == 5 ? turn($0) : .failure(gone) })
        while member(jobs.answer("\(second.id)"), "state") == .string("running") { usleep(1000) }
        let end = jobs.cancel("\(second.id)")
        #expect(member(end, "state") == .string("ended"))
        #expect(member(end, "redelivered") == .number("1") && member(end, "refused") == .number("1"))
        jobs.stop()
        #expect(jobs.begin([1], rate: 1, after: 3) { turn($0) } == nil)
    }

    private func wait(_ jobs: RedeliveryJobs, _ job: RedeliveryJobs.Job) -> JSONValue? {
        while JSONValue(jobs.answer("\(job.id)").bytes)?["state"] == .string("running") { usleep(1000) }
        return JSONValue(jobs.answer("\(job.id)").bytes)
    }

    @Test("what was selected before another job began and ended is refused: it does not know what that one redelivered")
    func generation() throws {
        let jobs = RedeliveryJobs { sequence, _, _ in .success(sequence + 100) }
        let (first, second) = (try #require(jobs.generation), try #require(jobs.generation))
        let job = try #require(jobs.begin([1], rate: 1000, after: first) { turn($0) })
        #expect(wait(jobs, job)?["state"] == .string("ended"))
        #expect(jobs.begin([1], rate: 1000, after: second) { turn($0) } == nil)
        let third = try #require(jobs.generation)
        let last = try #require(jobs.begin([1], rate: 1000, after: third) { turn($0) })
        #expect(wait(jobs, last)?["done"] == .number("1"))
    }

    @Test("a job ends where the journal takes nothing in time: what it was asked for may still come")
    func slow() throws {
        let jobs = RedeliveryJobs { sequence, _, _ in
            guard sequence == 2 else { return .success(sequence + 100) }
            return .failure(
                RedeliveryRefusal(status: .serviceUnavailable, code: RedeliveryRefusal.slow, message: "slow"))
        }
        let job = try #require(jobs.begin([1, 2, 3], rate: 1000, after: 1) { turn($0) })
        let end = try #require(wait(jobs, job))
        #expect(end["state"] == .string("cancelled") && end["done"] == .number("2") && end["refused"] == .number("1"))
        #expect(jobs.generation == 2)
    }

    @Test("of a stall no more than a second is made up for")
    func pace() {
        let second: UInt64 = 1_000_000_000
        #expect(RedeliveryJobs.due(after: 0, rate: 10, now: 5) == second / 10)
        #expect(RedeliveryJobs.due(after: 100 * second, rate: 1000, now: 100 * second) == 100 * second + second / 1000)
        #expect(
            RedeliveryJobs.due(after: 100 * second, rate: 10, now: 100 * second + second / 2) == 100 * second + second
                / 10)
        #expect(RedeliveryJobs.due(after: 100 * second, rate: 10, now: 160 * second) == 159 * second)
    }

    @Test("what was asked for is under way until the journal answers, though nobody waits, and remembered after that")
    func underWay() {
        let waiting = Locked<[@Sendable (RedeliveryRequest.Answer) -> Void]>([])
        let slow = RedeliveryRefusal(status: .serviceUnavailable, code: RedeliveryRefusal.slow, message: "slow")
        let jobs = RedeliveryJobs { _, _, answered in
            waiting.withLock { $0.append(answered) }
            return .failure(slow)
        }
        func answer(_ answer: RedeliveryRequest.Answer) { waiting.withLock { $0.removeFirst() }(answer) }
        #expect(!jobs.isUnderWay(1))
        #expect(jobs.carryOut(5, RedeliveryTurn(act: .asConfigured, original: 1)) == .failure(slow))
        #expect(jobs.carryOut(1, RedeliveryTurn(act: .asConfigured, original: 1)) == .failure(slow))
        #expect(jobs.carryOut(2, RedeliveryTurn(act: .asConfigured, original: 2)) == .failure(slow))
        #expect(jobs.isUnderWay(1) && jobs.isUnderWay(2) && !jobs.isUnderWay(5))
        answer(.success(10))
        #expect(jobs.isUnderWay(1) && jobs.landed(of: 1) == [10])
        answer(.success(11))
        answer(.failure(.stopping))
        #expect(!jobs.isUnderWay(1) && !jobs.isUnderWay(2))
        #expect(jobs.landed(of: 1) == [10, 11] && jobs.landed(of: 2) == [])
    }

    @Test("redeliveries are remembered by their original, as many as a job has and a thousand more")
    func landed() {
        let jobs = RedeliveryJobs { sequence, _, answered in
            answered(.success(sequence))
            return .success(sequence)
        }
        for (sequence, original) in [(10, 1), (11, 2), (12, 1)] as [(UInt64, UInt64)] {
            _ = jobs.carryOut(sequence, RedeliveryTurn(act: .asConfigured, original: original))
        }
        #expect(jobs.landed(of: 1) == [10, 12])
        for sequence: UInt64 in 13...11_010 {
            _ = jobs.carryOut(sequence, RedeliveryTurn(act: .asConfigured, original: 3))
        }
        #expect(jobs.landed(of: 1) == [12] && jobs.landed(of: 2) == [11])
    }

    private func turn(_ sequence: UInt64) -> Result<RedeliveryTurn, RedeliveryRefusal> {
        .success(RedeliveryTurn(act: .asConfigured, original: sequence))
    }

    private let gone = RedeliveryRefusal(status: .notFound, code: "delivery-unknown", message: "gone")
}
