import Testing

@testable import Delivery

@Suite("Build Service: cases")
struct BuildServiceCaseTests {
    @Test("a registry's notifications", arguments: try BuildServiceCase.all("notification"))
    func notification(_ vector: BuildServiceCase) throws { try replay(vector) }

    @Test("Artifactory's webhooks", arguments: try BuildServiceCase.all("artifactory"))
    func artifactory(_ vector: BuildServiceCase) throws { try replay(vector) }

    @Test("Docker Hub's webhooks", arguments: try BuildServiceCase.all("dockerhub"))
    func dockerHub(_ vector: BuildServiceCase) throws { try replay(vector) }

    @Test("there are as many cases as the fixtures hold")
    func count() throws {
        let counts = try ["notification", "artifactory", "dockerhub"].map { try BuildServiceCase.all($0).count }
        #expect(counts == [48, 27, 27])
    }

    /// Feeds every request, as if the API server always worked, and keeps the duplicates of accepted deliveries away.
    private func replay(_ vector: BuildServiceCase) throws {
        var seen: Set<String> = []
        var targets: Set<TargetReference> = []
        for step in vector.steps {
            let rules = try vector.rules(step.request)
            let ruling = rules.rule(on: step.request, now: 0)
            let isDuplicate = ruling.deliveryID.map { seen.contains($0) } ?? false
            let answer = isDuplicate ? ruling.duplicateAnswer ?? ruling.answer : ruling.answer
            check(answer, step.expected)
            var actions: [Action] = []
            if ruling.decision == .accepted, !isDuplicate {
                if let id = ruling.deliveryID { seen.insert(id) }
                let stored = step.request.masked(ruling.credentials)
                let facts = DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: ruling.deliveryID ?? "")
                guard case .actions(let found) = rules.triggers(of: stored, facts) else {
                    Issue.record("accepted, and nothing follows")
                    return
                }
                actions = found
            }
            checkOutcome(ruling, isDuplicate: isDuplicate, step.expected)
            let writes = actions.compactMap(KpackWrite.init)
            let callbacks = actions.count { if case .dockerHubCallback = $0 { true } else { false } }
            #expect(writes.count + callbacks == actions.count)
            // After the refreshes, and only where it is switched on.
            if case .dockerHubCallback(let after, _)? = actions.last { #expect((after == nil) == writes.isEmpty) }
            if vector.writesTotal == nil {
                compare(writes, try #require(step.expected["kube"]?.elements))
            } else {
                for case .kpackRefresh(let target, _, _) in actions { targets.insert(target) }
            }
            try checkCallback(vector, step, isAccepted: !actions.isEmpty)
        }
        // The merging of triggers is the dispatcher's: here all must be for one object.
        if let total = vector.writesTotal { #expect(total.contains(targets.count)) }
    }

    private func check(_ answer: Answer, _ expected: JSONValue) {
        let allowed = expected["status"]?.elements ?? [expected["status"] ?? .null]
        #expect(allowed.contains(.number("\(answer.status)")), "came \(answer.status)")
        #expect(answer.body.isEmpty)
        if answer.status == 405 { #expect(answer.fields == [Answer.Field("Allow", "POST")]) }
        if answer.status == 503 { #expect(answer.fields.contains { $0.name == "Retry-After" }) }
    }

    private func checkOutcome(_ ruling: Ruling, isDuplicate: Bool, _ expected: JSONValue) {
        switch (expected["outcome"]?.text, ruling.decision) {
        case ("triggered", .accepted), ("triggered_or_coalesced", .accepted), ("rejected", .ignored(.bodyUnusable)),
            ("up_to_date", .ignored(.upToDate)):
            #expect(!isDuplicate)
        case ("duplicate", .accepted): #expect(isDuplicate)
        case ("ignored", .ignored(let reason)): #expect(reason != .upToDate && reason != .bodyUnusable)
        case ("unauthorized", .refused(let cause)): #expect(ruling.answer.status == 401 && cause != .none)
        case ("rejected", .refused): #expect(ruling.answer.status != 401)
        case (let outcome, let decision): Issue.record("expected \(outcome ?? "nothing"), came \(decision)")
        }
    }

    private func compare(_ writes: [KpackWrite], _ expected: [JSONValue]) {
        var left = writes
        for item in expected {
            if let index = left.firstIndex(where: { $0.fits(item) }) {
                left.remove(at: index)
            } else {
                Issue.record("missing: \(String(decoding: item.serialized, as: UTF8.self))")
            }
        }
        #expect(left.isEmpty, "unexpected: \(left.map(\.path))")
    }

    private func checkCallback(_ vector: BuildServiceCase, _ step: BuildServiceCase.Step, isAccepted: Bool) throws {
        let expected = step.expected["outbound"]?.elements ?? []
        guard vector.settings.dockerHubCallback, isAccepted else {
            #expect(expected.isEmpty)
            return
        }
        let call = try? DockerHubCallback.request(for: step.request.body, state: .success, description: "refreshed")
        #expect((call != nil) == (expected.count == 1))
        guard let call, let wanted = expected.first else { return }
        #expect(wanted["method"]?.text == "POST" && wanted["url"]?.text == call.url)
        #expect(wanted["headers_contain"]?["Content-Type"]?.text == DockerHubCallback.contentType)
        let body = try #require(JSONValue(call.body))
        #expect(KpackWrite.holds(body, try #require(wanted["body_contains"])))
    }
}
