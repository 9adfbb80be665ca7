import Delivery
import Logging
import Testing

@testable import Trigger

@Suite("Targets of one delivery")
struct TargetPlannerTests {
    private var event: Event {
        var event = Event(kind: "push")
        event.image = "registry.example.com/base"
        event.tag = "1"
        return event
    }

    /// What a Hook with this selection would do about an image that one ClusterStack reads, with no API server to ask.
    private func planned(route filter: String?, entry own: String?) async throws -> PlanningResult {
        let stack = try #require(
            KpackObject(
                apiVersion: "kpack.io/v1alpha2", kind: "ClusterStack", namespace: "", name: "stack",
                spec: JSONValue(Array(#"{"buildImage":{"image":"registry.example.com/base:1"}}"#.utf8)) ?? .null,
                status: .null))
        let images = ImageIndex([stack])
        let found = event
        let planner = TargetPlanner(
            client: { _ in nil }, repositories: { RepositoryIndex([]) }, images: { $0 == "local" ? images : nil },
            decodeEvent: { _ in found },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let identity = RouteIdentity(kind: .hook, namespace: "team-a", name: "images")
        var definition = RouteDefinition(
            identity: identity, path: "/hooks/team-a/images", sender: .hmac, secrets: [])
        definition.filter = try filter.map { try Filter($0) }
        definition.selections = [
            Selection(.kpackRefresh, .ofImage(cluster: "local"), filter: try own.map { try Filter($0) })
        ]
        let delivery = QueuedDelivery(
            sequence: 1, receivedNanoseconds: 0, route: identity,
            location: DeliveryLocation(segment: 1, offset: 0, length: 0))
        let payload = DeliveryPayload(
            sender: .hmac, deliveryID: "1", eventKind: "", contentType: "application/json",
            headers: [.init(name: "content-type", value: "application/json")], body: Array(#"{"kind":"push"}"#.utf8))
        return await planner.plan(delivery, definition, payload)
    }

    @Test("a refresh by image happens unless the receiver's filter or the entry's own keeps it out")
    func imageFilters() async throws {
        guard case .actions(let actions) = try await planned(route: nil, entry: nil) else {
            Issue.record("nothing is planned")
            return
        }
        #expect(actions.map(\.name) == ["kpack-refresh"])
        #expect(try await planned(route: "req.kind == 'push'", entry: nil) == .actions(actions))
        #expect(try await planned(route: "req.kind == 'other'", entry: nil) == .ignored(reason: "filtered"))
        #expect(try await planned(route: nil, entry: "req.kind == 'other'") == .ignored(reason: "filtered"))
    }
}
