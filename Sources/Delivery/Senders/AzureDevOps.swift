// Azure DevOps service hooks: Basic credentials or a header of one's own.
//
// Source: learn.microsoft.com "Webhooks with Azure DevOps", "Service hooks events" (git.push: `resource.refUpdates`).

enum AzureDevOps: Sender {
    static let type = SenderType.azureDevOps
    static let credentials: [SenderCredential] = [
        .basic(username: nil), .header("authorization"), .query("token"), .pathSegment,
    ]
    static let hasDeliveryID = true

    static func read(_ request: InboundRequest, _ keys: SenderKeys) -> SenderReading? {
        guard let body = JSONValue(request.body), case .object = body else { return nil }
        // A notification's number counts within its subscription.
        var id = body["id"]?.deliveryID
        if let notification = body["notificationId"]?.deliveryID {
            id = (body["subscriptionId"]?.deliveryID).map { $0 + "/" + notification } ?? notification
        }
        return SenderReading(
            eventNames: [body["eventType"]?.plainText ?? ""], deliveryID: id.flatMap(SenderTable.deliveryID))
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent {
        var event = Event(kind: eventName.isEmpty ? nil : eventName)
        guard let resource = JSONValue(request.body)?["resource"] else { return SenderEvent(event) }
        if let repository = resource["repository"] {
            event.repository = repository["name"]?.plainText
            if let project = repository.at("project", "name")?.plainText, let name = event.repository {
                event.repository = project + "/" + name
            }
            event.repositoryURL = repository["remoteUrl"]?.plainText
        }
        if let update = resource["refUpdates"]?.elements?.first {
            event.ref = update["name"]?.plainText
            let commit = update["newObjectId"]?.plainText
            event.commit = commit.flatMap { $0.allSatisfy { $0 == "0" } ? nil : $0 }
        }
        return SenderEvent(event)
    }
}
