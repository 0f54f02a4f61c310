import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** HOST PORT N: N connections at once by one selector; each is greeted and hears what it said. */
public class Storm {
    private static final class Talk {
        final String said;
        final String expected;
        String heard = "";

        Talk(int n) {
            said = "client " + n + "\n";
            expected = "hello\n" + said;
        }
    }

    public static void main(String[] arguments) throws Exception {
        InetSocketAddress address = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
        int number = Integer.parseInt(arguments[2]);
        Selector selector = Selector.open();
        for (int n = 0; n < number; n++) {
            SocketChannel channel = SocketChannel.open();
            channel.configureBlocking(false);
            // Before connect(), as event loops may.
            SelectionKey key = channel.register(selector, SelectionKey.OP_CONNECT, new Talk(n));
            if (channel.connect(address)) {
                throw new IllegalStateException("connected at once, which a far end cannot be");
            }
            key.interestOps(SelectionKey.OP_CONNECT);
        }

        int connected = 0;
        int finished = 0;
        ByteBuffer buffer = ByteBuffer.allocate(4096);
        long end = System.nanoTime() + 60_000_000_000L;
        while (finished < number) {
            selector.select(1000);
            if (System.nanoTime() > end) {
                throw new IllegalStateException("60 s are over: " + connected + " connected, " + finished + " done");
            }
            for (SelectionKey key : selector.selectedKeys()) {
                SocketChannel channel = (SocketChannel) key.channel();
                Talk talk = (Talk) key.attachment();
                if (key.isConnectable() && channel.finishConnect()) {
                    connected++;
                    if (!address.equals(channel.getRemoteAddress())) {
                        throw new IllegalStateException("the peer is " + channel.getRemoteAddress());
                    }
                    key.interestOps(SelectionKey.OP_READ);
                    channel.write(ByteBuffer.wrap(talk.said.getBytes(StandardCharsets.US_ASCII)));
                } else if (key.isReadable()) {
                    buffer.clear();
                    if (channel.read(buffer) < 0) {
                        throw new IllegalStateException("the end after " + talk.heard);
                    }
                    talk.heard += new String(buffer.array(), 0, buffer.position(), StandardCharsets.US_ASCII);
                    if (talk.heard.equals(talk.expected)) {
                        finished++;
                        key.cancel();
                        // Held open until all are, so that all are there at once.
                    }
                }
            }
            selector.selectedKeys().clear();
        }
        System.out.println(number + " at once");
    }
}
