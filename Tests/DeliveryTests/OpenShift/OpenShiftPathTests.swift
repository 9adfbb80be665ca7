// Paths that lead to a webhook, to none, or nowhere.

import Testing

@testable import Delivery

@Suite("OpenShift paths")
struct OpenShiftPathTests {
    @Test(
        "paths that lead to no webhook are refused",
        arguments: [
            ("", 400), ("one", 400), ("one/", 404), ("/generic", 400), ("one/generic/x/y/z", 400),
            ("one/generic%zz", 400),
            ("one%2Fgeneric/x", 400), ("one/Generic", 404), ("%6fne/gen%65ric", 200),
        ])
    func paths(_ tail: String, _ status: Int) {
        let outcome = OpenShiftRulesTests().send(
            OpenShiftRulesTests.config([OpenShiftRulesTests.trigger(.generic, "one")]),
            OpenShiftRulesTests.request(tail))
        #expect(outcome.ruling.answer.status == status)
    }

    @Test("an unknown config and a wrong secret cannot be told apart") func probing() {
        let config = OpenShiftRulesTests.config([OpenShiftRulesTests.trigger(.generic, "one")])
        let wrong = OpenShiftRulesTests().send(config, OpenShiftRulesTests.request("two/generic")).ruling.answer
        var other = OpenShiftRulesTests.request("two/generic")
        other.path = other.path.replacing("demo", with: "nowhere")
        let unknown = OpenShiftRulesTests().send(config, other).ruling.answer
        #expect(wrong == unknown)
        #expect(wrong.status == 401)
        let noTrigger = OpenShiftRulesTests().send(
            OpenShiftRulesTests.config([OpenShiftRulesTests.trigger(.github, "two")]),
            OpenShiftRulesTests.request("two/generic")
        ).ruling.answer
        #expect(noTrigger == wrong)
    }

    @Test("a path whose last parts were exchanged does not show the secret") func exchanged() {
        let outcome = OpenShiftRulesTests().send(
            OpenShiftRulesTests.config([OpenShiftRulesTests.trigger(.github, "t0psecret")]),
            OpenShiftRulesTests.request("github/t0psecret"))
        #expect(outcome.ruling.answer.status == 404)
        #expect(!String(decoding: outcome.ruling.answer.body, as: UTF8.self).contains("t0psecret"))
    }

    @Test("dryRun is refused under every spelling of the parameter") func dryRun() {
        let config = OpenShiftRulesTests.config([OpenShiftRulesTests.trigger(.generic, "one")])
        for query in ["dryRun=All", "dryRun", "a=b&dryRun=", "%64ryRun=1"] {
            #expect(
                OpenShiftRulesTests().send(config, OpenShiftRulesTests.request("one/generic", query: query)).ruling
                    .answer.status == 400, "\(query)")
        }
        for query in ["dryrun=All", "x=dryRun", ""] {
            #expect(
                OpenShiftRulesTests().send(config, OpenShiftRulesTests.request("one/generic", query: query)).ruling
                    .answer.status == 200, "\(query)")
        }
    }

    @Test("elsewhere below the prefix nothing is found") func elsewhere() {
        let family = OpenShiftPathFamily()
        for path in [
            "/apis/build.openshift.io/v1", "/apis/build.openshift.io/v1/namespaces/demo/buildconfigs/orders",
            "/oapi/v1/",
        ] {
            #expect(family.routePath(of: path) == nil)
            let answer = family.fallback.rules?.rule(on: InboundRequest(method: "GET", path: path), now: 0).answer
            #expect(answer?.status == 404)
        }
        let encoded = "/apis/build.openshift.io/v1/namespaces/d%65mo/buildconfigs/orders/webhooks/x/generic"
        #expect(family.routePath(of: encoded) == OpenShiftRulesTests.config([]).routePath)
        #expect(
            family.routePath(of: "/oapi/v1/namespaces/demo/buildconfigs/orders/webhooks")
                == OpenShiftRulesTests.config([]).routePath)
    }

    @Test("the form of the betas leads to the config that its query names, and masks the secret where it stands")
    func betas() {
        let family = OpenShiftPathFamily()
        let path = "/osapi/v1beta1/buildConfigHooks/orders/one/generic"
        #expect(family.routePath(of: path, query: "namespace=demo") == OpenShiftRulesTests.config([]).routePath)
        #expect(family.routePath(of: path, query: "a=b&namespace=d%65mo") == OpenShiftRulesTests.config([]).routePath)
        for query in [nil, "", "namespace=", "namespace", "Namespace=demo", "namespace=%zz"] {
            #expect(family.routePath(of: path, query: query) == nil, "\(query ?? "nil")")
        }
        let config = OpenShiftRulesTests.config([
            .init(type: .generic, inlineSecret: SecretBytes(Array("one".utf8)))
        ])
        func rule(_ path: String) -> Ruling {
            OpenShiftRules(config).rule(
                on: InboundRequest(method: "POST", path: path, query: "namespace=demo"), now: 0)
        }
        let ruling = rule(path)
        #expect(ruling.decision == .accepted && ruling.answer.status == 200)
        let start = "/osapi/v1beta1/buildConfigHooks/orders/".utf8.count
        #expect(ruling.credentials.contains(.path(start..<start + 3)))
        #expect(rule("/osapi/v1beta1/buildConfigHooks/orders/two/generic").answer.status == 401)
        #expect(rule("/osapi/v1beta1/buildConfigHooks/orders/one").answer.status == 400)
        #expect(rule("/osapi/v1beta1/buildConfigHooks/orders/one/other").answer.status == 404)
    }
}
