import Testing

@testable import Delivery

@Suite("Build Service: rules")
struct BuildServiceRulesTests {
    typealias Sample = BuildServiceSample
    static let run = "registry.example.com/stack/run:jammy"

    @Test("only POST, and the answer says so", arguments: BuildServiceEndpoint.allCases)
    func methods(_ endpoint: BuildServiceEndpoint) {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"] {
            var request = Sample.request(endpoint, [])
            request.method = method
            let ruling = Sample.open(endpoint, []).rule(on: request, now: 0)
            #expect(ruling.answer == Answer(405, fields: [Answer.Field("Allow", "POST")]))
        }
    }

    @Test(
        "a body above the endpoint's limit is 413, one at the limit is read", arguments: BuildServiceEndpoint.allCases)
    func limits(_ endpoint: BuildServiceEndpoint) {
        let rules = Sample.open(endpoint, [])
        #expect(endpoint.bodyBytesMax == (endpoint == .notification ? 8_388_608 : 1_048_576))
        let blanks = [UInt8](repeating: 0x20, count: endpoint.bodyBytesMax - 34)
        let body = Array(#"{"repository":{"repo_name":"a/b"}}"#.utf8) + blanks
        #expect(rules.status(Sample.request(endpoint, body)) == 200)
        #expect(rules.status(Sample.request(endpoint, body + [0x20])) == 413)
    }

    @Test("media types: parameters and case do not matter, others and none are 415")
    func mediaTypes() {
        let body = Sample.envelope()
        let notification = Sample.open(.notification, [])
        for good in [
            "application/json; charset=utf-8", "APPLICATION/JSON", Sample.registryType + ";v=1", " application/json ",
        ] {
            #expect(notification.status(Sample.request(.notification, body, type: good)) == 200, "\(good)")
        }
        for bad in [
            "", "application/jsonp", "text/json", "application/x-www-form-urlencoded", "application/json, text/plain",
        ] {
            #expect(notification.status(Sample.request(.notification, body, type: bad)) == 415, "\(bad)")
        }
        #expect(notification.status(InboundRequest(method: "POST", path: "/v1/docker/notification", body: body)) == 415)
        #expect(
            Sample.open(.artifactory, []).status(Sample.request(.artifactory, body, type: Sample.registryType)) == 415)
        let second = Sample.request(.notification, body, type: "text/plain", [("Content-Type", "application/json")])
        #expect(notification.status(second) == 200, "the first acceptable one counts")
    }

    @Test("the registry's media type decides about poison, in either order of two Content-Type lines")
    func poison() {
        let rules = Sample.open(.notification, [])
        for body in ["", "{", "[]", "null", "1", #"{"events":1}"#, #"{"events":{}}"#, "{\"events\":[\u{1}]}"] {
            #expect(
                rules.decision(Sample.request(.notification, Array(body.utf8))) == .ignored(.bodyUnusable), "\(body)")
            #expect(rules.status(Sample.request(.notification, Array(body.utf8))) == 200)
            let json = Sample.request(.notification, Array(body.utf8), type: "application/json")
            #expect(rules.rule(on: json, now: 0).decision == .refused(.bodyMalformed))
            #expect(rules.status(json) == 400)
        }
        #expect(rules.status(Sample.request(.notification, [0xff, 0xfe])) == 200)
        let first = Sample.request(.notification, [], [("Content-Type", "application/json")])
        #expect(rules.status(first) == 200)
    }

    @Test("an accepted delivery is 202, its duplicate 200, and its window is the configured one")
    func accepted() {
        let rules = Sample.open(.notification, [Sample.stack(Self.run)]) { $0.dedupeWindowSeconds = 77 }
        let request = Sample.request(.notification, Sample.envelope(Sample.event(id: "id-1")))
        let ruling = rules.rule(on: request, now: 0)
        #expect(ruling.decision == .accepted && ruling.answer == Answer(202) && ruling.duplicateAnswer == Answer(200))
        #expect(ruling.deliveryID == "id-1" && ruling.dedupeWindowSeconds == 77 && ruling.sender == .dockerRegistry)
        #expect(ruling.eventName == "push")
        #expect(rules.effects(request) == ["ClusterStack//base \(Self.run)"])
        #expect(rules.refreshes(of: request).map(\.digest) == [Sample.digest])
    }

    @Test("delivery ids: one event's id, a digest over several in order, none when one lacks it")
    func deliveryIDs() {
        let rules = Sample.open(.notification, [])
        let id = { (ids: [String?]) in
            let events = ids.map { Sample.event(id: $0) }
            let body = (["events": .array(events)] as JSONValue).serialized
            return rules.rule(on: Sample.request(.notification, body), now: 0).deliveryID
        }
        #expect(id(["a"]) == "a")
        #expect(id([]) == nil && id([nil]) == nil && id([""]) == nil && id(["a", nil]) == nil)
        let pairs = [["a", "b"], ["b", "a"], ["a", "b", "b"], ["ab"], ["a1:b"], ["a", "1:b"]].map(id)
        #expect(Set(pairs.map { $0 ?? "" }).count == pairs.count)
        #expect(id(["a", "b"]) == id(["a", "b"]))
        #expect(id(["a", "b"])?.hasPrefix("sha256:") == true)
        let long = id([String(repeating: "x", count: 10_000)])
        #expect(long?.utf8.count == 71 && id(["a\nb"])?.hasPrefix("sha256:") == true)
    }

    @Test("members of events that are no objects are passed over, and do not count for the id")
    func oddMembers() {
        let rules = Sample.open(.notification, [Sample.stack(Self.run)])
        let body = (["events": [.null, "x", .number("1"), [], Sample.event(id: "only")]] as JSONValue).serialized
        let ruling = rules.rule(on: Sample.request(.notification, body), now: 0)
        #expect(ruling.decision == .accepted && ruling.deliveryID == "only")
    }

    @Test("the registry's host: the URL's, else the request's; user information and relative URLs")
    func hosts() throws {
        let rules = Sample.open(.notification, [Sample.stack("registry.example.com:5000/stack/run:jammy")])
        func status(url: JSONValue?, host: JSONValue?) -> UInt16 {
            var target: [(String, JSONValue)] = [
                ("mediaType", "application/vnd.oci.image.index.v1+json"), ("repository", "stack/run"), ("tag", "jammy"),
            ]
            if let url { target.append(("url", url)) }
            let event: JSONValue = [
                "id": "1", "action": "push", "target": .object(target.map { .init(name: $0.0, value: $0.1) }),
                "request": ["host": host ?? .null], "source": ["addr": "registry.example.com:5000"],
            ]
            return rules.status(Sample.request(.notification, Sample.envelope(event)))
        }
        let rest = "/v2/stack/run/manifests/x"
        #expect(status(url: .string("http://registry.example.com:5000" + rest), host: "other") == 202)
        #expect(status(url: .string("https://u:p@registry.example.com:5000" + rest), host: nil) == 202)
        #expect(status(url: .string("HTTPS://REGISTRY.example.com:5000?x"), host: nil) == 202)
        #expect(status(url: .string("/v2/stack/run/manifests/x"), host: "registry.example.com:5000") == 202)
        #expect(status(url: "", host: "Registry.example.com:5000") == 202)
        #expect(status(url: .number("1"), host: "registry.example.com:5000") == 202)
        #expect(status(url: .string("http://other.example.com" + rest), host: "registry.example.com:5000") == 200)
        #expect(status(url: .string("http://registry.example.com:5000@evil.example" + rest), host: nil) == 200)
        #expect(status(url: .string("http://evil.example/http://registry.example.com:5000" + rest), host: nil) == 200)
        #expect(status(url: nil, host: nil) == 200, "source.addr is never used")
    }

    @Test("of several events for one tag the last one counts; an object is refreshed once")
    func severalEvents() {
        let old = Sample.event(id: "1", digest: Sample.digest)
        let new = Sample.event(id: "2", digest: Sample.other)
        let rules = Sample.open(.notification, [Sample.stack(Self.run)])
        #expect(
            rules.effects(Sample.request(.notification, Sample.envelope(new, old))) == [
                "ClusterStack//base \(Self.run)"
            ])
        #expect(rules.decision(Sample.request(.notification, Sample.envelope(old, new))) == .ignored(.upToDate))
        let both = Sample.envelope(old, Sample.event(id: "3", repository: "stack/build"))
        #expect(
            rules.effects(Sample.request(.notification, both)) == [
                "ClusterStack//base registry.example.com/stack/build:jammy"
            ])
    }

    @Test("why nothing follows")
    func reasons() {
        let pinned = Sample.stack("registry.example.com/stack/run:jammy@" + Sample.other)
        let reason = { (objects: [KpackObject], event: JSONValue) in
            Sample.open(.notification, objects).decision(Sample.request(.notification, Sample.envelope(event)))
        }
        #expect(reason([pinned], Sample.event()) == .ignored(.referencePinned))
        #expect(reason([Sample.stack(Self.run, digest: Sample.digest)], Sample.event()) == .ignored(.upToDate))
        #expect(reason([Sample.stack(Self.run)], Sample.event(tag: "other")) == .ignored(.noTarget))
        #expect(reason([], Sample.event()) == .ignored(.repositoryUnknown))
        #expect(reason([Sample.stack(Self.run)], Sample.event(tag: "no tag!")) == .ignored(.repositoryUnknown))
        #expect(reason([Sample.stack(Self.run)], Sample.event(tag: nil)) == .ignored(.eventIrrelevant))
        #expect(reason([Sample.stack(Self.run)], Sample.event(action: "pull")) == .ignored(.eventIrrelevant))
        #expect(
            reason([Sample.stack(Self.run)], Sample.event(mediaType: "application/octet-stream"))
                == .ignored(.eventIrrelevant))
    }

    @Test("what was accepted may have nothing left to do when its turn comes")
    func later() {
        let request = Sample.request(.notification, Sample.envelope(Sample.event()))
        let now = Sample.open(.notification, [Sample.stack(Self.run, digest: Sample.digest)])
        #expect(now.triggers(of: request, Sample.facts) == .ignored(.upToDate))
        var broken = request
        broken.body = Array("{".utf8)
        #expect(now.triggers(of: broken, Sample.facts) == .ignored(.bodyUnusable))
    }

    @Test("the path family leads one segment to Docker Hub's route and refuses the rest")
    func family() {
        let family = BuildServicePathFamily()
        #expect(family.prefixes == ["/v1/docker/webhook/"])
        #expect(family.routePath(of: "/v1/docker/webhook/abc") == "/v1/docker/webhook")
        for other in [
            "/v1/docker/webhook", "/v1/docker/webhook/", "/v1/docker/webhook/a/b", "/v1/docker/webhook//", "/v1/docker",
            "",
        ] {
            #expect(family.routePath(of: other) == nil, "\(other)")
        }
        let rules = family.fallback.rules
        let ask = { (method: String, path: String) in
            rules?.rule(on: InboundRequest(method: method, path: path), now: 0).answer
        }
        #expect(ask("GET", "/v1/docker/webhook/a")?.status == 405)
        #expect(ask("POST", "/v1/docker/webhook/a/b")?.status == 404)
        #expect(ask("POST", "/v1/docker/webhook/a")?.fields.map(\.name) == ["Retry-After"])
        #expect(family.fallback.identity == BuildServiceEndpoint.dockerHub.identity())
    }
}
