import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.StringJoiner;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.formats.common.TimestampFormat;
import org.apache.flink.formats.json.canal.CanalJsonDeserializationSchema;
import org.apache.flink.formats.json.debezium.DebeziumJsonDeserializationSchema;
import org.apache.flink.formats.json.maxwell.MaxwellJsonDeserializationSchema;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;
import org.apache.flink.table.types.utils.TypeConversions;
import org.apache.flink.util.Collector;
import org.apache.flink.util.UserCodeClassLoader;
import org.apache.flink.util.SimpleUserCodeClassLoader;

/**
 * Reads the lines of standard input with a JSON format of Apache Flink, and prints the rows that it
 * makes: flink-read says how it is called.
 */
public class FlinkRead {
    public static void main(String[] args) throws Exception {
        RowType type = (RowType) LogicalTypeParser.parse("ROW<" + args[1] + ">", FlinkRead.class.getClassLoader());
        DataType data = TypeConversions.fromLogicalToDataType(type);
        InternalTypeInfo<RowData> info = InternalTypeInfo.of(type);
        DeserializationSchema<RowData> schema = switch (args[0]) {
            case "debezium" -> new DebeziumJsonDeserializationSchema(data, List.of(), info, false, false, TimestampFormat.ISO_8601);
            case "canal" -> CanalJsonDeserializationSchema.builder(data, List.of(), info).setTimestampFormat(TimestampFormat.SQL).build();
            case "maxwell" -> new MaxwellJsonDeserializationSchema(data, List.of(), info, false, TimestampFormat.SQL);
            default -> throw new IllegalArgumentException(args[0]);
        };
        schema.open(new DeserializationSchema.InitializationContext() {
            public MetricGroup getMetricGroup() { return new UnregisteredMetricsGroup(); }
            public UserCodeClassLoader getUserCodeClassLoader() { return SimpleUserCodeClassLoader.create(FlinkRead.class.getClassLoader()); }
        });
        PrintStream print = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
        RowData.FieldGetter[] fields = new RowData.FieldGetter[type.getFieldCount()];
        for (int i = 0; i < fields.length; i++) fields[i] = RowData.createFieldGetter(type.getTypeAt(i), i);
        Collector<RowData> out = new Collector<>() {
            public void collect(RowData row) {
                StringJoiner text = new StringJoiner("|", row.getRowKind().shortString() + " ", "");
                for (RowData.FieldGetter f : fields) text.add(String.valueOf(show(f.getFieldOrNull(row))));
                print.println(text);
            }
            public void close() {}
        };
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) schema.deserialize(line.isEmpty() ? null : line.getBytes(StandardCharsets.UTF_8), out);
        print.flush();
    }

    /** Bytes are shown as hex digits. */
    static Object show(Object v) {
        return v instanceof byte[] b ? HexFormat.of().formatHex(b) : v;
    }
}
