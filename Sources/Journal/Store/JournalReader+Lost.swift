// JournalReader+Lost: segments that somebody else took away while the log is in use.
//
// The writer removes a segment from the directory of segments before it touches its file, so a file that is not there while its segment is
// part of the log was removed or renamed by another hand. Whoever has it open may still read it, and the writer may still write to it: none of
// that is there after a restart.

extension JournalReader {
    /// What is thrown where a segment of the log has no file: ENOENT of an open.
    static let lost = DiskError(code: noSuchFile, operation: .open)

    /// Segments of the log that have no file now, oldest first. Lists the journal's directory: not for a loop.
    public func lostSegments() throws(JournalError) -> [SegmentSpan] {
        let segments = segments
        do throws(DiskError) {
            let names = Set(try disk.list().map(\.name))
            var lost: [SegmentSpan] = []
            for segment in segments
            where !names.contains(SegmentFileName.segment(segment.number))
                && !names.contains(SegmentFileName.kept(segment.number))
            {
                // It may have changed its name while the directory was listed, or left the log.
                if let file = try openFile(segment.number) {
                    disk.close(file)
                } else if directory.contains(segment.number) {
                    lost.append(segment)
                }
            }
            return lost
        } catch {
            throw JournalError(error)
        }
    }
}
