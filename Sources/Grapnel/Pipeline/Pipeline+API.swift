// What the admin listener answers, put together of the parts that know it.

internal import Journal
internal import NIOHTTP1

extension Pipeline {
    /// What stands outside of the API; nil: nothing does.
    private func answerAdmin(_ path: String, _ page: MetricsPage) -> AdminAnswer? {
        switch path {
        case "/healthz": return AdminAnswer(status: .ok, body: "ok\n")
        case "/readyz":
            let (isReady, text) = readiness.report(
                journalRefusal: journalRefusal(), unlisted: catalog.unlisted(readiness.listedClusters),
                journalLines: watch.lines, clusterLines: clusters.lines)
            return AdminAnswer(status: isReady ? .ok : .serviceUnavailable, body: text)
        case "/metrics":
            return AdminAnswer(status: .ok, contentType: MetricsPage.contentType, body: page.render())
        default: return nil
        }
    }

    func makeAPI(_ page: MetricsPage) -> AdminAPI {
        let (reader, history) = (desk.writer.reader, history)
        let durable: @Sendable () -> UInt64 = { history.durableThrough }
        let parts = AdminParts(
            reader: reader, history: history, durableSequence: durable, routes: routes, dispatcher: dispatcher,
            journalMetrics: desk.writer.metrics, journalRefusal: journalRefusal,
            lostSegments: { [watch] in watch.lost },
            shareRefusals: desk.shareRefusals,
            refused: refusals.requests,
            counts: routeCounts, redeliver: redelivery.asked, settings: settings,
            version: Version.number)
        return AdminAPI(parts, pauses: pauses) { path in self.answerAdmin(path, page) }
    }
}
