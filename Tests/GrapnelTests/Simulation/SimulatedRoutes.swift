// SimulatedRoutes: the configuration of a simulated pipeline, one route of each shape that matters to what is promised.

import Delivery
import Trigger

@testable import Grapnel

enum SimulatedRoutes {
    static let second: UInt64 = 1_000_000_000
    static let bodyBytesMax = 60_000

    static func secret(_ route: Int) -> [UInt8] { Array("secret-of-route-\(route)-0123456789".utf8) }

    private static func object(_ kind: String, _ namespace: String, _ name: String) -> TargetReference {
        TargetReference(apiVersion: nil, kind: kind, namespace: namespace, name: name)
    }

    private static func build(_ number: Int) -> Action {
        .openshiftBuild(object("BuildConfig", "team-b", "site"), buildRequest: Array("{\"build\":\(number)}".utf8))
    }

    private static func http(_ host: String) -> Action {
        .http(url: "https://\(host).example.org/x", timeoutNanoseconds: 10 * second, signingSecret: nil)
    }

    /// Soon dead, so that a run sees it.
    private static let impatient = RetryPolicy(
        attempts: 2, backoffNanoseconds: second / 5, maxBackoffNanoseconds: 2 * second,
        maxAgeNanoseconds: 60 * second)
    private static let patient = RetryPolicy(
        attempts: 5, backoffNanoseconds: second, maxBackoffNanoseconds: 10 * second)

    private static func hook(
        _ index: Int, _ namespace: String, _ actions: [Action], sender: SenderType = .github,
        kind: ReceiverKind = .hook, coalesce: Coalesce? = nil, retry: RetryPolicy = patient, window: UInt32? = nil
    ) -> RouteDefinition {
        RouteDefinition(
            identity: RouteIdentity(kind: kind, namespace: namespace, name: "r\(index)"),
            path: "/hooks/\(namespace)/r\(index)", sender: sender, secrets: [SecretBytes(secret(index))],
            events: sender == .gitlab ? ["Push Hook"] : ["push"], actions: actions, coalesce: coalesce, retry: retry,
            dedupeWindowSeconds: window)
    }

    static let all: [RouteDefinition] = {
        let shared = object("GitRepository", "team-a", "app")
        var ruled = hook(8, "team-c", [http("two"), .log], sender: .gitea, window: 5)
        ruled.rules = SenderRules(
            sender: .gitea, isFlux: false, secrets: [SecretBytes(secret(8))], events: ["push"])
        var planned = hook(9, "team-b", [build(9)], sender: .gitea)
        planned.rules = SenderRules(
            sender: .gitea, isFlux: false, secrets: [SecretBytes(secret(9))], events: ["push"])
        return [
            hook(0, "team-a", [.log]),
            hook(1, "team-a", [.reconcile(shared), http("one")], retry: impatient),
            hook(
                2, "team-b", [.reconcile(shared), .reconcile(object("Kustomization", "team-b", "all"))],
                coalesce: Coalesce(
                    by: .target, windowNanoseconds: second / 2, minIntervalNanoseconds: second,
                    maxDelayNanoseconds: 2 * second)),
            hook(
                3, "team-b", [.reconcile(object("Bucket", "team-b", "refs"))],
                coalesce: Coalesce(by: .ref, minIntervalNanoseconds: second / 2)),
            hook(
                4, "team-c", [.reconcile(object("HelmRepository", "team-c", "charts"))], kind: .receiver,
                retry: impatient),
            // Two routes build the same thing, in the order in which the deliveries came.
            hook(5, "team-b", [build(5)], sender: .gitlab),
            hook(6, "team-c", [build(6)], retry: impatient, window: 0),
            hook(7, "team-a", []),
            ruled,
            // Builds the same, found out delivery by delivery.
            planned,
            // Merged by ref, though each means something of its own.
            hook(
                10, "team-a", [http("three")],
                coalesce: Coalesce(by: .ref, windowNanoseconds: second / 3, maxDelayNanoseconds: second)),
        ]
    }()

    /// To which nobody sends: only redeliveries are theirs. The first one comes and goes.
    private static let meantForRedeliveries: [RouteDefinition] = {
        var tenants = hook(
            12, "team-b", [.reconcile(object("Kustomization", "team-b", "all")), build(12)], retry: impatient)
        tenants.isOfTenant = true
        var suspended = hook(13, "team-c", [.log])
        suspended.readiness = .suspended
        return [
            hook(11, "team-a", [.reconcile(object("Bucket", "team-a", "canary")), http("canary")], retry: impatient),
            tenants, suspended,
        ]
    }()

    static let configured = all + meantForRedeliveries
    static let canaries = Set(meantForRedeliveries.map(\.identity))
    static let canary = meantForRedeliveries[0].identity
    static let tenant = meantForRedeliveries[1].identity
    /// What a redelivery may name in the place of its own route; of the last two one has no actions, and one is nowhere.
    static let aims =
        [
            canary, canary, tenant, tenant, meantForRedeliveries[2].identity, all[1].identity, all[8].identity,
            all[7].identity,
        ]
        .map(\.description) + ["Hook/team-a/nobody"]

    static func definition(_ identity: RouteIdentity) -> RouteDefinition? {
        configured.first { $0.identity == identity }
    }

    /// What an operator may pause.
    static let pausable: [PauseSubject] =
        all.map { .route($0.identity) }
        + ["team-a", "team-b", "team-c"].map { .namespace(cluster: "local", namespace: $0) }
        + ["GitRepository/team-a/app", "BuildConfig/team-b/site", "Bucket/team-b/refs"].map {
            .target(cluster: "local", text: $0)
        }

    /// A table of its own each time, as a reload makes it.
    static func table(searches: Bool = false, withoutCanary: Bool = false) -> RouteTable {
        var routes = configured
        if withoutCanary { routes.removeAll { $0.identity == canary } }
        guard searches else { return RouteTable(routes, bodyBytesMax: bodyBytesMax) }
        for index in [0, 1, 3] {
            routes[index].selections = [Selection(.reconcile, .ofRepository(cluster: "b", kinds: [], namespaces: []))]
        }
        return RouteTable(routes, bodyBytesMax: bodyBytesMax)
    }

    /// Seconds in which a repeat is one; 0: never.
    static func window(_ route: Int) -> UInt64 {
        UInt64(all[route].dedupeWindowSeconds ?? all[route].sender.dedupeWindowSeconds)
    }
}
